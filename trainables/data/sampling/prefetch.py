"""Preparing items in a thread while earlier ones are used."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class _End:
    """What comes after the last item.

    Attributes:
        error: that ended them, or None.
    """

    error: BaseException | None


def prefetched(items: Iterator[Item], depth: int = 2) -> Iterator[Item]:
    """The same items in the same order, up to `depth` of them made in advance by a thread.

    An error comes where it would have come. The thread ends with the items, or when this is closed.
    """
    ready: queue.Queue[Item | _End] = queue.Queue(depth)
    closed = threading.Event()
    maker = threading.Thread(target=_make, args=(items, ready, closed.is_set), name="prefetch", daemon=True)
    maker.start()
    try:
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        closed.set()
        while maker.is_alive():
            _emptied(ready)
            maker.join(0.01)


def _make(items: Iterator[Item], ready: queue.Queue[Item | _End], closed: Callable[[], bool]) -> None:
    error: BaseException | None = None
    try:
        for item in items:
            if closed():
                return
            ready.put(item)
    except BaseException as raised:
        error = raised
    ready.put(_End(error))


def _emptied(ready: queue.Queue[Item | _End]) -> None:
    while True:
        try:
            ready.get_nowait()
        except queue.Empty:
            return
