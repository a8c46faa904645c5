"""Shared comparison helpers: detect installed packages and run a measurement in a fresh process."""

from __future__ import annotations

import importlib.util
import multiprocessing
from collections.abc import Callable, Mapping
from typing import TypeVar

Result = TypeVar("Result")


def installed(programs: Mapping[str, str | None]) -> list[str]:
    """Return the names of the programs whose package is installed (None: no package needed); print the missing ones."""
    available = [name for name, package in programs.items() if package is None or importlib.util.find_spec(package)]
    print(f"not installed: {', '.join(set(programs) - set(available)) or 'none'}")
    return available


def run_in_fresh_process(work: Callable[..., Result], *args: object) -> Result:
    """Run `work(*args)` in a newly spawned process and return its result."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, args)
