"""Images decoded by a background thread, a limited amount of memory ahead of the network."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trainables.common.errors import UserError
from trainables.prediction.decoding import DecodedImage, decode
from trainables.prediction.preprocessing import Preprocessing
from trainables.prediction.sources import ImageSource

MAX_AHEAD = 256 << 20
"""Bytes of decoded images that may wait; one image is decoded whatever its size."""


@dataclass(frozen=True)
class FailedImage:
    """An image without results.

    Attributes:
        name: name of the image's source.
        reason: the problem, in one line.
    """

    name: str
    reason: str


def decoded_ahead(
    sources: Sequence[ImageSource], preprocessing: Preprocessing, max_gigabytes: float
) -> Iterator[DecodedImage | FailedImage]:
    """Yield each image decoded, or why it cannot be, in order; a thread decodes the next ones meanwhile.

    Args:
        sources: the images.
        preprocessing: the networks' input.
        max_gigabytes: largest size in GB of one decoded file.
    """
    waiting = _Waiting(MAX_AHEAD)

    def read() -> None:
        for source in sources:
            found: _Item
            try:
                found = decode(source, preprocessing, max_gigabytes)
            except UserError as error:
                found = FailedImage(source.name, str(error))
            except BaseException as error:  # an error of ours, raised where the image is used
                found = error
            if not waiting.put(found):
                return

    threading.Thread(target=read, name="decode", daemon=True).start()
    try:
        for _ in sources:
            found = waiting.get()
            if isinstance(found, BaseException):
                raise found
            yield found
    finally:
        waiting.close()


_Item = DecodedImage | FailedImage | BaseException


class _Waiting:
    """Queue of images whose total size is limited."""

    def __init__(self, limit: int) -> None:
        self._limit, self._size, self._closed = limit, 0, False
        self._items: deque[_Item] = deque()
        self._changed = threading.Condition()

    def put(self, item: _Item) -> bool:
        """Append an item as soon as it fits, or as the queue is empty; return False if the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._items or self._size + _bytes(item) <= self._limit)
            self._items.append(item)
            self._size += _bytes(item)
            self._changed.notify_all()
            return not self._closed

    def get(self) -> _Item:
        """Wait for the first item and remove it."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._items))
            item = self._items.popleft()
            self._size -= _bytes(item)
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """Let a waiting `put` end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def _bytes(item: _Item) -> int:
    return item.images.nbytes + item.inputs.nbytes if isinstance(item, DecodedImage) else 0
