"""Datasets of a recorded plan: each cell has its own where a factor varies the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from study.config.documents import override_paths
from study.config.plain import canonical, plain
from study.config.settings import parse
from trainables.common.errors import UserError
from trainables.data.settings import DataSettings

SECTION = "data"
"""Section of a study file, and key of a cell's entry in its plan."""


def varies_data(overrides: Mapping[str, Any]) -> bool:
    """Return True if a cell's levels set something of its dataset."""
    return any(path.partition(".")[0] == SECTION for path in overrides)


def data_of_cell(plan: Mapping[str, Any], cell: str) -> DataSettings:
    """Return the dataset of a cell; other settings of the plan may be of an earlier version.

    Args:
        plan: content of `plan.json`.
        cell: key of one of its cells.

    Raises:
        UserError: an earlier version wrote the plan, which does not have all settings of the cell's dataset.
    """
    entries = {entry["key"]: entry for entry in plan["cells"]}
    if SECTION in entries[cell]:
        return parse(DataSettings, entries[cell][SECTION])
    spec = plan["spec"]  # those of the first cell
    own, first = (_overrides(spec, entry["levels"]) for entry in (entries[cell], plan["cells"][0]))
    if unknown := sorted(first.keys() - own.keys()):
        text = f"the plan, of an earlier version, does not say {', '.join(unknown)} of the cell '{cell}'"
        raise UserError(f"study '{plan['name']}': {text}. Fix: run the study file again, which records it")
    return parse(DataSettings, override_paths({SECTION: spec[SECTION]}, own)[SECTION])


def datasets_of_cells(plan: Mapping[str, Any]) -> list[tuple[DataSettings, list[str]]]:
    """Return each dataset of a plan's cells with the keys of these cells, that of the first cell first."""
    found: dict[str, tuple[DataSettings, list[str]]] = {}
    for entry in plan["cells"]:
        settings = data_of_cell(plan, entry["key"])
        found.setdefault(canonical(plain(settings)), (settings, []))[1].append(entry["key"])
    return list(found.values())


def _overrides(spec: Mapping[str, Any], levels: Mapping[str, str]) -> dict[str, Any]:
    """Return what a cell's levels set of its dataset, by dotted path."""
    chosen = (factor["levels"][levels[factor["name"]]] for factor in spec.get("factors", ()))
    return {path: value for level in chosen for path, value in level.items() if varies_data({path: value})}
