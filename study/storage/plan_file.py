"""The plan of a study as a file, plan.json, which keeps the order of levels and of search ranges."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainables.common.errors import UserError
from trainables.common.files import write_text

RESTORE = "Fix: restore the file from a backup, or remove it and run the original study file, which writes it"


def write_plan(path: Path, plan: Mapping[str, Any]) -> None:
    """Write a plan atomically, with its mappings in their order: the first levels are the study's first cell."""
    write_text(path, json.dumps(plan, indent=2) + "\n")


def read_plan(path: Path) -> dict[str, Any]:
    """Return the content of a plan.

    Raises:
        UserError: the file cannot be read or is no plan.
    """
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}. {RESTORE}") from None
    except ValueError as error:
        raise UserError(f"{path}: damaged (found {error}, expected JSON). {RESTORE}") from None
    if not isinstance(plan, dict) or not isinstance(plan.get("spec"), dict):
        raise UserError(f"{path}: damaged (found no `spec`, expected the plan of a study). {RESTORE}")
    return plan
