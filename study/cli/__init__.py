"""The command line: the one place where study, trainables and analysis meet."""

from study.cli.main import main

__all__ = ["main"]
