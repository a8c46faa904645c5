"""Background threads for single function calls."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

Params = ParamSpec("Params")
Result = TypeVar("Result")


def run_in_background(
    name: str, work: Callable[Params, Result], *args: Params.args, **kwargs: Params.kwargs
) -> Future[Result]:
    """Run `work` in a background thread and return its Future.

    Args:
        name: prefix of the thread's name, which debuggers and logs show.
        work: function to run; the Future's `result()` returns its result or raises its exception.
        args: positional arguments of `work`.
        kwargs: keyword arguments of `work`.

    Example:
        >>> run_in_background("sum", sum, [1, 2, 3]).result()
        6
    """
    executor = ThreadPoolExecutor(1, name)
    future = executor.submit(work, *args, **kwargs)
    executor.shutdown(wait=False)  # the thread ends after `work`
    return future
