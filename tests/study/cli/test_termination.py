"""SIGTERM ends a command as Ctrl-C does, with an exit code of its own."""

import os
import signal
import time

import pytest

from study.cli import predict
from study.cli.app import app
from study.cli.main import guarded
from study.cli.termination import CONTINUE


def received() -> int:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(5)
    return 0


def test_a_terminated_command_says_how_to_continue(capsys):
    assert guarded(received) == 143
    assert capsys.readouterr().err == f"{CONTINUE}\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_typer_does_not_swallow_the_line_and_the_code(monkeypatch, tmp_path, capsys, number, code):
    def kill(*_: object) -> None:
        os.kill(os.getpid(), number)
        time.sleep(5)

    monkeypatch.setattr(predict, "workspace", kill)
    arguments = ["predict", "any", "image.nii", "--out", str(tmp_path / "out")]
    assert guarded(lambda: app(arguments, standalone_mode=False)) == code
    assert capsys.readouterr().err == f"{CONTINUE}\n"


def test_a_command_whose_ctrl_c_is_ignored_is_terminated(monkeypatch):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert guarded(received) == 143
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_handler_of_ctrl_c_is_called_once_and_the_command_ends_in_its_way():
    calls = []
    before = signal.signal(signal.SIGINT, lambda number, frame: calls.append(number))
    try:

        def twice() -> int:
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.01)
            return 7

        assert guarded(twice) == 7
    finally:
        signal.signal(signal.SIGINT, before)
    assert calls == [signal.SIGINT]


def test_an_interrupted_command_keeps_its_own_code():
    def interrupt() -> int:
        raise KeyboardInterrupt

    assert guarded(interrupt) == 130


def test_ray_s_exit_on_a_signal_counts_as_termination(capsys):
    def exit_as_ray_does() -> int:
        raise SystemExit(signal.SIGTERM)

    assert guarded(exit_as_ray_does) == 143


@pytest.mark.parametrize("code", [0, 1, 3])
def test_the_handler_of_before_is_back(code):
    before = signal.getsignal(signal.SIGTERM)
    assert guarded(lambda: code) == code
    assert signal.getsignal(signal.SIGTERM) is before
