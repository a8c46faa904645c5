"""Record of what determined the results in a folder, so that results of something else are not mixed with them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from trainables.common.errors import UserError
from trainables.common.files import write_json

PREDICTION = "prediction.json"
"""File of everything but the images that determined the results of a prediction's folder."""

EVALUATION = "evaluation.json"
"""File of everything that determined the results of an evaluation's folder."""


def claim_folder(root: Path, name: str, facts: Mapping[str, object], others: Collection[str] = ()) -> None:
    """Write the facts that determine a folder's results, or refuse a folder with results of other facts.

    Args:
        root: folder of the results, which may not exist yet.
        name: file of the facts in it.
        facts: plain values by name.
        others: files that only results without these facts have.

    Raises:
        UserError: the folder has such results, or is a file.
    """
    if root.exists() and not root.is_dir():
        raise UserError(f"--out {root}: a file, expected a folder")
    fix = "Fix: choose another folder"
    if (root / name).exists():
        before = _read(root / name)
        now = json.loads(json.dumps(facts))
        changed = sorted(each for each in {*now, *before} if now.get(each) != before.get(each))
        if changed:
            raise UserError(f"--out {root}: has results with other {', '.join(changed)} (see {name}). {fix}")
        return
    found = [each for each in others if (root / each).exists()]
    if found:
        raise UserError(f"--out {root}: has other results (found {', '.join(found)} without {name}). {fix}")
    write_json(root / name, facts)


def _read(file: Path) -> dict[str, object]:
    """Return the recorded facts; none of a damaged file."""
    try:
        found = json.loads(file.read_text())
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
