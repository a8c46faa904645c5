"""Watch over the head of a Ray cluster, whose loss ends a driver's process."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

import psutil

from study.errors import EXIT_CODE

LOST = "the Ray cluster's head has died (gcs_server at {address}). Fix: {fix}, then run the same command again."

CHECK_INTERVAL = 0.5
"""Seconds between two checks of the head."""

LOCAL_TIMEOUT, REMOTE_TIMEOUT = 1.0, 30.0
"""Seconds for which a head may not answer: on this machine, and on another one, to which the network may fail."""


@contextlib.contextmanager
def watched_head(address: str, timeout: float, on_loss: Callable[[str], object]) -> Iterator[None]:
    """Call a function in a background thread, once, if a head does not answer for some time.

    Args:
        address: HOST:PORT of the head's gcs_server.
        timeout: seconds for which it may not answer.
        on_loss: function that takes the address.
    """
    done = threading.Event()
    thread = threading.Thread(target=_watch, args=(address, timeout, on_loss, done), name="head watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def end_process(message: str) -> NoReturn:
    """Print an error, and end this process and those below it at once with the exit code of a lost cluster.

    Ray's own code waits for the head and then ends the process from C++, with exit code 1 and no chance to catch it.
    """
    below = psutil.Process().children(recursive=True)
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"error: {message}\n")
        sys.stderr.flush()
    for process in below:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    os._exit(EXIT_CODE)


def answers(address: str) -> bool:
    """Return True if something accepts connections at HOST:PORT."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError:
        return False
    return True


def _watch(address: str, timeout: float, on_loss: Callable[[str], object], done: threading.Event) -> None:
    answered = time.monotonic()
    while not done.wait(CHECK_INTERVAL):
        if answers(address):
            answered = time.monotonic()
        elif time.monotonic() - answered > timeout and not done.is_set():
            on_loss(address)
            return
