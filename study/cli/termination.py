"""SIGTERM, by which SLURM, `docker stop` and Kubernetes end a program: it ends a study as Ctrl-C does."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from study.cli.app import Exit

CONTINUE = "interrupted. Run the same command again to continue"
"""Line that an interrupted command prints."""

_received = threading.Event()


def terminated() -> bool:
    """Return True if this process has received SIGTERM inside `termination_as_interrupt`."""
    return _received.is_set()


def interrupted() -> Exit:
    """Return the exit code of a command that was interrupted."""
    return Exit.TERMINATED if terminated() else Exit.INTERRUPTED


@contextlib.contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """Let the first SIGTERM do what Ctrl-C does, and ignore further ones, as the command is already ending.

    Only the main thread receives signals; in another one nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _received.clear()
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    if _received.is_set():
        return
    _received.set()
    interrupt = signal.getsignal(signal.SIGINT)  # Ray Tune's, while it runs
    if callable(interrupt):
        interrupt(signal.SIGINT, frame)
    else:  # ignored, as in a command that a script has put into the background
        raise KeyboardInterrupt
