"""Data and design of a study in a few lines, from what its plan, ledger, jobs and frame store record."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np

from analysis.io.load import PlannedStudy, StudyResults
from analysis.report.networks import network_texts
from analysis.tables.grid import Grid
from study.storage.events import Event, TimeSpent, events_of_type
from study.storage.ledger import read_ledger
from trainables.data.layouts import LAYOUTS
from trainables.data.records import SPLITS
from trainables.data.store.frames import FrameStore


@dataclass(frozen=True)
class Fact:
    """One line of the box.

    Attributes:
        term: name of the recorded value.
        text: recorded value in words.
        strong: True for a line that a reader must not overlook.
    """

    term: str
    text: str
    strong: bool = False


def design_facts(results: StudyResults, grid: Grid, store: FrameStore | None) -> list[Fact]:
    """Return the recorded data and design of a study; what is unknown has no line.

    Args:
        results: results of the study.
        grid: arrangement of the cells, for the titles of the amounts of labels.
        store: frame store of the study; None leaves out the numbers of subjects and images.
    """
    plan, events = results.plan, read_ledger(results.folder.ledger)
    facts = [
        *_data_facts(plan, "Dataset", "data"),
        *_data_facts(plan, "Pretraining data", "pretext_data"),
        Fact("Subjects and images", _splits(store) if store is not None else ""),
        Fact("Labelled subjects", _labels(plan, grid)),
        Fact("Network", "; ".join(network_texts(results, store))),
        Fact("Pretraining", _pretraining(results)),
        Fact("Search", _search(plan)),
        Fact("Replicates", _replicates(results)),
        Fact("Date", _date(events)),
        Fact("Duration", _duration(results, events)),
        Fact("Machine", _machines(results)),
        Fact("Software", ", ".join(f"{name} {number}" for name, number in plan.software.items())),
        Fact("Report", f"written by pretext-study {version('pretext-study')}"),
    ]
    return [fact for fact in facts if fact.text]


def shown_title(plan: PlannedStudy) -> str:
    """Return the study's title, which says where the study's images are generated ones."""
    if "generated data" in plan.title:
        return plan.title
    if _phantom(plan.spec.get("data")):
        return f"{plan.title}, on generated data"
    return f"{plan.title}, partly on generated data" if _phantom(plan.spec) else plan.title


def _phantom(settings: Any) -> bool:
    """Return True where settings, or a part of them, describe a generated dataset."""
    if isinstance(settings, list):
        return any(map(_phantom, settings))
    if not isinstance(settings, Mapping):
        return False
    named = any(str(key).split(".")[-1] == "phantom" and value is not None for key, value in settings.items())
    return named or any(map(_phantom, settings.values()))


def _data_facts(plan: PlannedStudy, term: str, section: str) -> Iterator[Fact]:
    data = plan.spec.get(section) or {}
    name = (data.get("layout") or {}).get("name")
    if name is None:
        return
    title = LAYOUTS[name].title if name in LAYOUTS else name
    classes = f"; classes: {', '.join(plan.classes)}" if section == "data" else ""
    if data.get("phantom") is None:
        yield Fact(term, title + classes)
        return
    yield Fact(term, f"GENERATED PHANTOM, no patients: drawn images in the layout of {title}{classes}", strong=True)


def _splits(store: FrameStore) -> str:
    """Return the numbers of subjects, images and labelled images of each split, and who made the split."""
    parts = []
    for split in SPLITS:
        rows, labelled = store.rows(split), store.rows(split, labelled=True)
        if len(rows):
            subjects = len(np.unique(store.index["subject"][rows]))
            parts.append(f"{split} {subjects:,} subjects, {len(rows):,} images ({len(labelled):,} with a mask)")
    return f"{'; '.join(parts)}; split: {store.split_by}"


def _labels(plan: PlannedStudy, grid: Grid) -> str:
    """Return the labelled subjects of each amount of labels, or of all cells where they are equal."""
    if len(set(plan.labels.values())) == 1:
        return str(next(iter(plan.labels.values())))
    counts = {column: plan.labels[cell] for (_, column), cell in grid.cells.items() if cell in plan.labels}
    if grid.label_share(grid.columns[0]) is not None:
        return "; ".join(f"{grid.column_title(column)}: {own}" for column, own in counts.items())
    by_size = sorted(set(plan.labels.values()), key=lambda each: (each.training, each.validation))
    return "; ".join(map(str, by_size))


def _pretraining(results: StudyResults) -> str:
    """Return the methods with their epochs: of the pretrainings made, or of the study file before there are any."""
    made = dict.fromkeys((each.method, each.settings["fit"]["epochs"]) for each in results.pretrainings if _long(each))
    return ", ".join(f"{method} ({epochs:,} epochs)" for method, epochs in made) or _planned_methods(results.plan)


def _long(pretraining: Any) -> bool:
    return (pretraining.settings.get("fit") or {}).get("epochs") is not None


def _planned_methods(plan: PlannedStudy) -> str:
    pretext = plan.spec.get("pretext") or {}
    levels = [level for factor in plan.spec.get("factors") or () for level in factor["levels"].values()]
    methods = [level.get("pretext.method", pretext.get("method")) for level in levels] or [pretext.get("method")]
    names = dict.fromkeys(str(each.get("name") if isinstance(each, Mapping) else each) for each in methods if each)
    return ", ".join(name for name in names if name != "random")


def _search(plan: PlannedStudy) -> str:
    search, trials = plan.spec.get("search") or {}, plan.planned.get("trial", 0)
    if not trials:
        return "none"
    space = search.get("space") or {}
    parts = [f"{trials:,} trials in {len(plan.cells)} cells"]
    if space:
        parts = [f"sampler {search['sampler']}", f"{search['trials']:,} trials in each searched cell"]
        parts.append(f"{len(space)} setting{'' if len(space) == 1 else 's'}")
    pruner = (search.get("pruner") or {}).get("name", "none")
    return ", ".join([*parts, *([f"pruner {pruner}"] if pruner != "none" else [])])


def _replicates(results: StudyResults) -> str:
    """Return the planned replicates per cell, and the pretrainings per start where the study file sets them."""
    plan, number = results.plan, results.plan.planned.get("replicate", 0)
    text = f"{number // len(plan.cells)} in each of {len(plan.cells)} cells" if number else ""
    declared = plan.spec.get("replicates")
    pretrainings = declared.get("pretrainings") if isinstance(declared, Mapping) else None
    if text and pretrainings and plan.planned.get("pretext"):
        text += f", from {pretrainings} pretraining{'' if pretrainings == 1 else 's'} of each start"
    return text


def _date(events: list[Event]) -> str:
    times = [event.time for event in events if event.time > 0]
    days = (
        dict.fromkeys(f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d}" for time in (min(times), max(times)))
        if times
        else ()
    )
    return f"{' to '.join(days)} (UTC)" if days else ""


def _duration(results: StudyResults, events: list[Event]) -> str:
    """Return the wall-clock hours of the study's launches, and the hours of all its jobs together."""
    wall = sum(event.seconds for event in events_of_type(events, TimeSpent))
    jobs = float(results.jobs["seconds"].sum())
    parts = [
        f"{_hours(wall)} of running" if wall else "",
        f"{_hours(jobs)} of {len(results.jobs):,} jobs" if jobs else "",
    ]
    gpu = float(results.jobs["gpu_hours"].astype(float).sum())
    return ", ".join([part for part in parts if part] + ([f"{gpu:.3g} GPU hours"] if gpu else []))


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.2f} h" if seconds < 36_000 else f"{seconds / 3600:,.0f} h"


def _machines(results: StudyResults) -> str:
    """Return the machines whose speed was measured in the study's workspace."""
    try:
        measured = list(json.loads(results.folder.workspace.calibration.read_text()))
    except (OSError, ValueError):
        return ""
    return f"{'; '.join(measured)} (measured in this workspace)" if measured else ""
