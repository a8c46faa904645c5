"""Shared command-line parser and JSON output of the benchmarks."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return an argument parser with `--json FILE`; its help prints the description unchanged."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", type=Path, help="also write the results to this JSON file")
    return made


def write(path: Path | None, found: Any) -> None:
    """Write dataclasses, or lists and dictionaries of them, as JSON; do nothing if `path` is None."""
    if path is not None:
        path.write_text(json.dumps(found, indent=1, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON (expected a dataclass or plain values)")
