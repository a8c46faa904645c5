"""Splits of a logical batch into micro-batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace

from trainables.data.sampling.batches import Batch


def split(batch: Batch, size: int | None) -> list[Batch]:
    """Return a worker's part of a logical batch as micro-batches of nearly equal size.

    Args:
        batch: images, masks, rows and random numbers of this worker.
        size: most images in a micro-batch; one more where a single image would remain, as batch norm cannot be trained
            on one. None does not split.
    """
    count = len(batch.rows)
    if size is None or count <= size:
        return [batch]
    number = max(1, min(-(-count // size), count // 2))
    limits = [count * part // number for part in range(number + 1)]
    return [_part(batch, first, end) for first, end in itertools.pairwise(limits)]


def split_all(batches: Iterable[Batch], size: int | None) -> Iterator[Batch]:
    """Yield the micro-batches of each batch in order, with at most `size` images as in `split`."""
    for batch in batches:
        yield from split(batch, size)


def _part(batch: Batch, first: int, end: int) -> Batch:
    masks = batch.masks[first:end] if batch.masks is not None else None
    draw = batch.draw.part(first, end - first)
    return replace(batch, images=batch.images[first:end], masks=masks, rows=batch.rows[first:end], draw=draw)
