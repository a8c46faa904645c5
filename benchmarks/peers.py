"""What comparisons share: which programs are there, and a fresh process for each."""

from __future__ import annotations

import importlib.util
import multiprocessing
from collections.abc import Callable, Mapping
from typing import TypeVar

Result = TypeVar("Result")


def installed(programs: Mapping[str, str | None]) -> list[str]:
    """The programs, by name, whose package is there; None needs none. Prints which are absent."""
    there = [name for name, package in programs.items() if package is None or importlib.util.find_spec(package)]
    print(f"absent: {', '.join(set(programs) - set(there)) or 'none'}")
    return there


def alone(work: Callable[..., Result], *args: object) -> Result:
    """`work` in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, args)
