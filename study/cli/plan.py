"""`study plan`: print the cells, jobs and estimated hours of a study."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from study.cli.console import foldable
from study.cli.label_text import label_line
from study.config.definition import Study
from study.config.plain import component_name
from study.execution.cluster import local_resources, unused_gpus
from study.planning.calibration import Calibration
from study.planning.dataset_check import check_datasets, planned_labels
from study.planning.datasets import prepared_in
from study.planning.estimate import CostEstimate, estimate
from study.planning.finished import finished_work
from study.planning.gpu_share import chosen_line, with_numbers
from study.planning.machine import free_gigabytes
from study.planning.plan import Plan
from study.planning.searched_jobs import searched_paths
from study.scheduling.occupancy import MOST_JOBS, occupancies
from study.scheduling.prior import PriorTrials
from study.stages.weights_file import weight_reports
from study.storage.workspace import Workspace
from study.word_table import WordTable
from trainables.common.errors import DataError, UserError
from trainables.common.label_counts import LabelCounts

PRINTED_CELLS = 40
"""Number of cells that the table prints on a terminal; in a pipe and in JSON there are all of them."""


def show_plan(study: Study, place: Workspace, rates: Calibration, out: Console, *, as_json: bool) -> None:
    """Print the cells, the number of jobs and the estimated hours of a study.

    Args:
        study: parsed study file.
        place: workspace whose artifacts and finished jobs are not counted.
        rates: measured training speeds of this machine.
        out: console to print to.
        as_json: print one JSON object instead of text.

    Raises:
        DataError: a dataset's folder does not exist, or the study would refuse the dataset in it.
    """
    described, datasets = study, prepared_in(place)
    study = with_numbers(study, local_resources()["GPU"], rates, datasets)
    plan = Plan(study, datasets)
    prior = PriorTrials(plan, place)
    for cell in plan.cells if study.spec.search.prior else ():
        prior.observations(cell.key)
    without_folder = check_datasets(study)
    cost, unknown = None, ""
    if without_folder:
        options = " ".join(f"--data {layout}=PATH" for layout in without_folder)
        unknown = f"unknown without the data. Fix: {options}"
    else:
        try:
            cost = estimate(plan, rates, finished_work(study.spec.name, place), free=free_gigabytes())
        except DataError:
            raise
        except UserError as error:
            unknown = f"unknown: {error}"
        except Exception as error:  # of a plug-in; `study rehearse` reports it with its place
            unknown = f"unknown, as a measured step failed ({type(error).__name__}: {error}). Fix: run study rehearse"
    labels = planned_labels(study)
    if as_json:
        out.print_json(json.dumps(_as_json(plan, cost, labels)))
        return
    out.print(Text.assemble((study.spec.name, "bold"), f": {study.spec.title}"))
    out.print(_cell_table(plan, out))
    if labels:
        out.print(label_line(labels.values()), soft_wrap=True)
    for report in weight_reports(plan.resolve(cell.key, {}) for cell in plan.cells):
        out.print(f"initial weights: {report}", markup=False, highlight=False, soft_wrap=True)
    if line := chosen_line(described, study):
        out.print(line, markup=False, soft_wrap=True)
    if warning := unused_gpus(plan.resource_requests(), local_resources()):
        out.print(warning, markup=False, soft_wrap=True)
    out.print("jobs: " + ", ".join(f"{kind} {count}" for kind, count in plan.planned().items()), soft_wrap=True)
    searched = searched_paths(plan)
    if searched:
        out.print(
            f"and one more shared job for each further value that the search tries of {', '.join(searched)}; "
            "the hours count as many as it can need",
            soft_wrap=True,
        )
    if cost is None:
        out.print(f"hours: {unknown}", markup=False, soft_wrap=True)
        return
    print_hours(cost, out)
    print_occupancy(plan, cost, out)


def print_occupancy(plan: Plan, cost: CostEstimate, out: Console) -> None:
    """Print how long the whole study takes on more slots, and how many of them are busy over time."""
    if cost.finished:
        return
    found = occupancies(plan, cost.hours_each)
    if not found:
        out.print(f"time on more slots: not simulated for more than {MOST_JOBS:,} jobs", soft_wrap=True)
        return
    table = WordTable(("slots", "time", "used", "busy slots in each tenth of the time"))
    for each in found:
        busy = " ".join(f"{count:.3g}" for count in each.busy)
        table.add_row(str(each.slots), _duration(each.hours).strip(), f"{each.share:.0%}", busy)
    out.print("the whole study without pruning, by the jobs that run at the same time:", soft_wrap=True)
    out.print(table)


def print_hours(cost: CostEstimate, out: Console) -> None:
    """Print the estimated hours of what is left of a study, and what is finished."""
    for kind, hours in {**cost.hours, "total": cost.total}.items():
        out.print(f"  {kind:<12} {_duration(hours)}")
    if cost.gpu_hours:
        out.print(f"  {'GPU-hours':<12} {cost.gpu_hours:8.2f}")
    out.print(
        f"on one worker with {cost.device}, from a few measured steps (measure again: --measure); "
        "pruning and early stopping reduce it",
        soft_wrap=True,
    )
    if cost.finished:
        counts = ", ".join(f"{kind} {count}" for kind, count in cost.finished.items())
        out.print(f"finished already and not counted: {counts}", soft_wrap=True)


def _cell_table(plan: Plan, out: Console) -> WordTable:
    table = WordTable(("cell", "shared jobs", "trials", "replicates"))
    printed = plan.cells[:PRINTED_CELLS] if out.is_terminal else plan.cells
    for cell in printed:
        counts = str(plan.trials(cell.key)), str(plan.spec.replicates.runs)
        table.add_row(foldable(cell.key, out), _sources(plan, cell.key), *counts)
    if len(plan.cells) > len(printed):
        table.add_row(f"... and {len(plan.cells) - len(printed)} more", "", "", "")
    return table


def _sources(plan: Plan, cell: str) -> str:
    """Return the names of the shared jobs that a cell needs, or of the weights that it starts from without any.

    Jobs that read each other are joined by ">", the pretrainings of different replicates by "; ".
    """
    pretrainings = range(plan.spec.replicates.pretrainings)
    chains = (" > ".join(job.id for job in plan.sources(cell, {}, number)) for number in pretrainings)
    return "; ".join(dict.fromkeys(chains)) or str(component_name(type(plan.resolve(cell, {}).pretext.method)))


def _duration(hours: float) -> str:
    if hours * 60 < 1:
        return f"{hours * 3600:8.1f} s"
    return f"{hours:8.2f} h" if hours >= 1 else f"{hours * 60:8.2f} min"


def _as_json(plan: Plan, cost: CostEstimate | None, labels: Mapping[str, LabelCounts]) -> dict[str, Any]:
    cells = [
        {
            "key": cell.key,
            "levels": dict(cell.levels),
            "start": _sources(plan, cell.key),
            "labels": asdict(labels[cell.key]) if cell.key in labels else None,
        }
        for cell in plan.cells
    ]
    return {
        "name": plan.spec.name,
        "cells": cells,
        "jobs": plan.planned(),
        "hours": None if cost is None else {**cost.hours, "total": cost.total, "device": cost.device},
        "gpu_hours": None if cost is None else cost.gpu_hours,
        "finished": {} if cost is None else dict(cost.finished),
    }
