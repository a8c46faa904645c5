"""Record of a study's plan (plan.json), and the check that a study of the same name has not changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from study.config.definition import Study
from study.config.plain import plain
from study.config.recorded_data import SECTION, varies_data
from study.config.resources import Resources
from study.config.settings import parse
from study.config.spec import Replicates
from study.planning.differences import spec_differences
from study.planning.plan import Plan
from study.plugins.declared import changed_code, used_code
from study.scheduling.objectives import OBJECTIVE
from study.stages.pretext import unguarded
from study.storage.plan_file import read_plan
from study.storage.workspace import StudyFolder
from trainables.common.errors import UserError
from trainables.common.label_counts import LabelCounts
from trainables.data.store.frames import FrameStore
from trainables.downstream.labels import count_labels

NOT_COMPARED = ("title", "notes", "budget", "resources", "storage", "tracking", "plugins")
"""Parts of a study file that may change under a used name, because they change no result; as may `pretext.guard`."""

RECORDED = ("pretext-study", "torch", "ray", "optuna")
"""Packages whose versions the record has, those of the last launch."""

MAX_DIFFERENCES = 20
"""Largest number of differences in an error message."""


def describe(plan: Plan) -> dict[str, Any]:
    """Return the content of plan.json, for reports and for comparison with later launches."""
    spec = plan.spec
    data = plan.dataset(spec.data)
    labels = _labels(plan)
    return {
        "name": spec.name,
        "title": spec.title,
        "notes": list(spec.notes),
        "spec": plan.study.document(),
        "design": plain(spec.design),
        "factors": {factor.name: list(factor.levels) for factor in spec.factors},
        "cells": [
            {
                "key": cell.key,
                "levels": dict(cell.levels),
                "labels": asdict(labels[cell.key]),
                **({SECTION: plain(plan.resolve(cell.key, {}).data)} if varies_data(cell.overrides) else {}),
            }
            for cell in plan.cells
        ],
        "search": {"metric": OBJECTIVE, "objectives": list(spec.search.objectives), "trials": spec.search.trials},
        "replicates": spec.replicates.runs,
        "planned_jobs": plan.planned(),
        "frames": {"data": data.folder},
        "classes": list(FrameStore.open(Path(data.folder)).classes),
        "software": {name: version(name) for name in RECORDED},
        **_plugins(plan.study),
    }


def _plugins(study: Study) -> dict[str, Any]:
    """Return source and hash of the plug-ins, with which later commands read the study; nothing without plug-ins."""
    code = _code(study)
    sources = [source.plain() for source in study.plugins]
    return ({"plugins": sources} if sources else {}) | ({"code": code} if code else {})


def _code(study: Study) -> dict[str, str]:
    return used_code(study.resolve(cell.overrides) for cell in study.cells())


def _labels(plan: Plan) -> dict[str, LabelCounts]:
    """Return the numbers of labelled subjects that a cell's jobs use, by the cell's key."""
    stores: dict[str, FrameStore] = {}
    counts: dict[tuple[Any, ...], LabelCounts] = {}
    found = {}
    for cell in plan.cells:
        spec = plan.resolve(cell.key, {})
        folder, use = plan.dataset(spec.data).folder, spec.downstream
        if folder not in stores:
            stores[folder] = FrameStore.open(Path(folder))
        alike = (folder, use.targets, use.views, use.labels, use.label_fraction, use.validation)
        if alike not in counts:
            counts[alike] = count_labels(use, stores[folder])
        found[cell.key] = counts[alike]
    return found


def recorded_gpus(recorded: Mapping[str, Any]) -> dict[str, float]:
    """Return the GPUs for each worker that the last launch has chosen, by name of the stage's resources.

    Args:
        recorded: content of plan.json.
    """
    asked = parse(Resources, recorded["spec"]["resources"]).by_name()
    return {name: each.gpus for name, each in asked.items() if each.gpus != "auto"}


def refuse_changes(folder: StudyFolder, study: Study) -> None:
    """Refuse a study file that differs from the one with which a study of this name was started.

    More replicates and more trials are allowed, because they only add jobs; fewer are not.

    Raises:
        UserError: the files differ; the message lists where.
    """
    if not folder.plan.exists():
        return
    recorded = read_plan(folder.plan)
    if changed := changed_code(recorded.get("code", {}), _code(study)):
        listed = "\n  ".join(changed)
        raise UserError(
            f"study '{folder.name}' was started with other code of its plug-ins:\n  {listed}\n"
            "Fix: choose another name (--name), which makes again what the code has made, or restore the code"
        )
    before = recorded["spec"]
    now = study.document()
    runs = Replicates.expand(before["replicates"])
    before = {
        **before,
        "replicates": {**plain(Replicates()), **runs, "runs": max(runs["runs"], now["replicates"]["runs"])},
    }
    if now["search"]["trials"] > before["search"]["trials"]:
        before = {**before, "search": {**before["search"], "trials": now["search"]["trials"]}}
    differences = spec_differences(_compared(before), _compared(now))
    if differences:
        shown = "\n  ".join(differences[:MAX_DIFFERENCES])
        if options := _fewer(before, now, len(differences)):
            raise UserError(
                f"study '{folder.name}' has more jobs planned than this study file asks for\n  {shown}\n"
                f"Fix: go on with all of them (study extend {folder.name} {options}), or choose another name (--name)"
            )
        raise UserError(
            f"study '{folder.name}' was started with another study file; the differences are\n  {shown}\n"
            f"Fix: choose another name (--name), run the original study file, or remove {folder.root}"
        )


def _fewer(before: Mapping[str, Any], now: Mapping[str, Any], differences: int) -> str:
    """Return the options of `study extend` that go on with a study of which only the counts of jobs differ, else ""."""
    counts = {
        "replicates": (before["replicates"]["runs"], now["replicates"]["runs"]),
        "trials": (before["search"]["trials"], now["search"]["trials"]),
    }
    fewer = [f"--{name} {more}" for name, (more, less) in counts.items() if less < more]
    return " ".join(fewer) if len(fewer) == differences else ""


def _compared(document: Mapping[str, Any]) -> dict[str, Any]:
    parts = {part: value for part, value in document.items() if part not in NOT_COMPARED}
    return {**parts, "pretext": unguarded(parts["pretext"])}
