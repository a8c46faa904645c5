"""A background thread that polls."""

from __future__ import annotations

import threading
from collections.abc import Callable


class PollingThread:
    """Background thread that calls a function at intervals until it is stopped; it never keeps the process alive.

    Args:
        poll: called every `interval`; it must handle its own errors.
        interval: seconds between two calls.
        name: the thread's name in debuggers.
    """

    def __init__(self, poll: Callable[[], None], interval: float, name: str) -> None:
        self._poll, self._interval = poll, interval
        self._stopping = threading.Event()
        self._last: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start to poll in the background."""
        self._thread.start()

    def stop(self, last: Callable[[], None], timeout: float) -> bool:
        """Poll once more, call `last`, and end the thread.

        Args:
            last: called in the thread after the last poll.
            timeout: seconds to wait for all of this.

        Returns:
            True if the thread has ended in time.
        """
        self._last = last
        self._stopping.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval):
            self._poll()
        self._poll()
        if self._last is not None:
            self._last()
