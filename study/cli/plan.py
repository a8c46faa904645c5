"""`study plan`: what a study would run, printed."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from study.config.definition import Study
from study.config.plain import component_name
from study.planning.calibration import Calibration
from study.planning.estimate import CostEstimate, estimate
from study.planning.jobs import SHARED
from study.planning.plan import Plan
from trainables.common.errors import DataError

SHOWN = 40
"""Cells printed in full; the JSON has them all."""


def show_plan(study: Study, rates: Calibration, out: Console, *, as_json: bool) -> None:
    """Print cells, jobs and the estimated hours."""
    plan = Plan(study)
    try:
        cost, unknown = estimate(plan, rates), ""
    except DataError as error:
        cost, unknown = None, str(error)
    if as_json:
        out.print_json(json.dumps(_described(plan, cost)))
        return
    out.print(f"[bold]{study.spec.name}[/]: {study.spec.title}")
    out.print(_cells(plan))
    planned = plan.planned()
    shared = len(plan.cells) - sum(not plan.pretexts(cell.key, {}) for cell in plan.cells)
    labels = "".join(f"{planned[kind]} {kind}s, " for kind in SHARED[1:] if kind in planned)
    out.print(
        f"{planned['pretext']} pretrainings shared by {shared} cells, {labels}{planned['trial']} trials, "
        f"{planned['replicate']} replicates"
    )
    searched = [path for path in plan.spec.search.space if path.startswith(("pretext.", "network.backbone"))]
    if searched:
        out.print(f"and a pretraining for each further value that is tried of {', '.join(searched)}", soft_wrap=True)
    if cost is None:
        out.print(f"hours: unknown without the data ({unknown})", markup=False)
        return
    for kind, hours in {**cost.hours, "total": cost.total}.items():
        out.print(f"  {kind:<10} {_duration(hours)}")
    out.print(
        f"of {cost.device} a worker, from a few steps measured here (--measure: again); pruning makes it less",
        soft_wrap=True,
    )


def _cells(plan: Plan) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("cell", overflow="fold")
    for column in ("starts from", "trials", "replicates"):
        table.add_column(column, no_wrap=True)
    for cell in plan.cells[:SHOWN]:
        table.add_row(cell.key, _start(plan, cell.key), str(plan.trials(cell.key)), str(plan.spec.replicates))
    if len(plan.cells) > SHOWN:
        table.add_row(f"... and {len(plan.cells) - SHOWN} more", "", "", "")
    return table


def _duration(hours: float) -> str:
    return f"{hours:8.2f} h" if hours >= 1 else f"{hours * 60:8.2f} min"


def _start(plan: Plan, cell: str) -> str:
    pretexts = plan.pretexts(cell, {})
    return " > ".join(job.id for job in pretexts) or str(component_name(type(plan.resolve(cell, {}).pretext.method)))


def _described(plan: Plan, cost: CostEstimate | None) -> dict[str, Any]:
    return {
        "name": plan.spec.name,
        "cells": [
            {"key": cell.key, "levels": dict(cell.levels), "start": _start(plan, cell.key)} for cell in plan.cells
        ],
        "jobs": plan.planned(),
        "hours": None if cost is None else {**cost.hours, "total": cost.total, "device": cost.device},
    }
