"""Preparation of items in a background thread while earlier ones are used."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class _End:
    """Marker behind the last item in the queue.

    Attributes:
        error: exception that ended the iteration, or None.
    """

    error: BaseException | None


def prefetch(items: Iterator[Item], depth: int = 2) -> Iterator[Item]:
    """Yield the items in order, up to `depth` of them computed in advance by a background thread.

    An exception is raised at the item that caused it. The thread ends after the last item or when the iterator is
    closed.

    Example:
        >>> list(prefetch(iter(range(3))))
        [0, 1, 2]
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
