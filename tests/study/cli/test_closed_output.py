"""A command whose output nobody reads any more (`study report NAME | head`) ends quietly."""

import os
import subprocess
import sys
from unittest.mock import create_autospec

import pytest

from study.cli import run as run_module
from study.cli.app import Exit
from study.cli.main import guarded
from study.execution import launch


@pytest.mark.parametrize("arguments", [("--help",), ("list",), ("validate", "quickstart", "--json")], ids=str)
def test_a_closed_output_ends_a_command_quietly(arguments):
    ran = piped_to_nobody(*arguments, stderr=subprocess.PIPE)
    assert (ran.returncode, ran.stderr) == (Exit.SUCCESS, b"")


@pytest.mark.parametrize("arguments", [("status", "nothing"), ("plan",)], ids=str)
def test_an_error_that_nobody_reads_keeps_its_exit_code(arguments, tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_HOME", str(tmp_path))
    assert piped_to_nobody(*arguments, stderr=subprocess.STDOUT).returncode == Exit.USAGE


def piped_to_nobody(*arguments: str, stderr: int) -> subprocess.CompletedProcess[bytes]:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run([sys.executable, "-m", "study", *arguments], stdout=writer, stderr=stderr, check=False)
    finally:
        os.close(writer)


def test_a_pipe_to_another_process_that_breaks_is_an_internal_error():
    def fail():
        try:
            raise BrokenPipeError("worker")
        except BrokenPipeError:
            sys.exit(1)  # what typer makes of it

    with pytest.raises(BrokenPipeError, match="worker"):
        guarded(fail)


def test_a_run_whose_progress_nobody_reads_any_more_is_interrupted(monkeypatch, tmp_path):
    monkeypatch.setattr(launch, "run", create_autospec(launch.run, side_effect=SystemExit(1)))
    monkeypatch.setattr(run_module, "reader_gone", create_autospec(run_module.reader_gone, return_value=True))
    monkeypatch.setattr(run_module, "discard_output", create_autospec(run_module.discard_output))
    study = run_module.load("quickstart", None, None, None, None)
    assert run_module.run_study(study, run_module.workspace(tmp_path), None) == Exit.INTERRUPTED
