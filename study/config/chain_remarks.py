"""Remarks on overrides that reach only the last step of a chain of pretrainings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from study.config.definition import Study
from study.config.spec import Start

LAST, BEFORE = "pretext.", "pretext.init_from"


def chain_remarks(study: Study, sets: Sequence[str]) -> list[str]:
    """Return a remark for each override of `pretext` from which an earlier step (`pretext.init_from`) differs.

    Args:
        study: study with the overrides applied.
        sets: the overrides, "dotted.path=value" each.
    """
    paths = [text.partition("=")[0] for text in sets]
    remarks: dict[str, None] = {}
    for path in (path for path in paths if path.startswith(LAST) and not path.startswith(BEFORE)):
        for cell in study.cells():
            pretext = study.resolve(cell.overrides).pretext
            for step in [] if isinstance(pretext.method, Start) else pretext.chain[:-1]:
                now, earlier = (_value(each, path.removeprefix(LAST)) for each in (pretext, step))
                if earlier != now:
                    text = f"{path} is {now}, but the pretraining before it ({BEFORE}) keeps {earlier}"
                    remarks[f"{text}. Change it there, too, if you mean both"] = None
    return list(remarks)


def _value(settings: Any, path: str) -> Any:
    """Return the value at a dotted path; None where the settings have no such field."""
    for name in path.split("."):
        settings = getattr(settings, name, None)
    return settings
