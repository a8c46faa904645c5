"""Command line; the only package that may import study, trainables and analysis."""

from study.cli.main import main

__all__ = ["main"]
