"""Doing the same to every sequence of a dataset, in this process or in several."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TypeVar

import cv2

from trainables.data.records import Clip

T = TypeVar("T")

_CLIPS_PER_WORKER = 200  # starting a process costs about as much as decoding so many small videos
_AHEAD = 8  # results that wait for whoever takes them, for each process


def in_order(function: Callable[[Clip], T], clips: Sequence[Clip], workers: int | None) -> Iterator[T]:
    """`function` of every clip, in order, however many processes work on it.

    Args:
        function: can be pickled where several processes work.
        clips: in the order wanted.
        workers: processes; None takes as many as there are cores and work for, and 1 works in this process.
    """
    if workers is None:
        workers = min(os.cpu_count() or 1, len(clips) // _CLIPS_PER_WORKER)
    if workers <= 1:
        yield from map(function, clips)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        ahead: deque[Future[T]] = deque()
        try:
            for clip in clips:
                ahead.append(pool.submit(function, clip))
                if len(ahead) > _AHEAD * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
