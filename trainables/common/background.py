"""Work of another thread while this one goes on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Made = TypeVar("Made")


def run_in_background(
    name: str, work: Callable[Given, Made], *args: Given.args, **kwargs: Given.kwargs
) -> Future[Made]:
    """What `work` gives or raises, when a thread of its own, called `name`, is done with it."""
    thread = ThreadPoolExecutor(1, name)
    begun = thread.submit(work, *args, **kwargs)
    thread.shutdown(wait=False)
    return begun
