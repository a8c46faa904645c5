"""Ordered map over the sequences of a dataset, in this process or in several."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import cv2

from trainables.common.errors import DataError
from trainables.data.records import SequenceRecord

T = TypeVar("T")


class ProcessDied(DataError):
    """Error: a decoding process ended without a result; unlike a damaged file, it may go well another time."""


_RECORDS_PER_WORKER = 200  # starting a process costs about as much as decoding so many small videos
_AHEAD = 8  # results per process that may wait to be consumed


def parallel_map(
    function: Callable[[SequenceRecord], T], records: Sequence[SequenceRecord], workers: int | None
) -> Iterator[T]:
    """Yield `function(record)` for every record, in order, whatever the number of processes.

    Args:
        function: callable to apply; it must be picklable for several processes.
        records: sequences in the order of the results.
        workers: number of processes; None chooses by cores and amount of work; 0 or 1 runs in this process.

    Raises:
        ProcessDied: a process was killed, for its memory as a rule, or crashed in a library.
    """
    if workers is None:
        workers = min(os.cpu_count() or 1, len(records) // _RECORDS_PER_WORKER)
    if workers <= 1:
        yield from map(function, records)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        ahead: deque[tuple[SequenceRecord, Future[T]]] = deque()
        try:
            for record in records:
                ahead.append((record, pool.submit(function, record)))
                if len(ahead) > _AHEAD * workers:
                    yield _result(*ahead.popleft())
            while ahead:
                yield _result(*ahead.popleft())
        except BrokenProcessPool:
            raise ProcessDied(_died(record)) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _result(record: SequenceRecord, future: Future[T]) -> T:
    try:
        return future.result()
    except BrokenProcessPool:
        raise ProcessDied(_died(record)) from None


def _died(record: SequenceRecord) -> str:
    file = next(iter(record.files.values()), record.sequence)
    return f"{file}: a decoding process died at this file or one soon after it. Fix: free memory, or leave the file out"
