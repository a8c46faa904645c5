"""What every benchmark's command line shares: its help, and `--json` for what was measured."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any


def parser(description: str | None) -> argparse.ArgumentParser:
    """Of a benchmark's options, `--json FILE` among them; the description is printed as it is written."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", type=Path, help="also write the figures there")
    return made


def write(path: Path | None, found: Any) -> None:
    """Data classes, and lists and dictionaries of plain values or of these, as JSON; nothing without a file."""
    if path is not None:
        path.write_text(json.dumps(found, indent=1, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} is nothing that was measured")
