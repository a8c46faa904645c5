"""`study plan`: what a study would run, printed."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from study.estimate import Estimate, estimate
from study.plan import Plan
from study.spec import Study
from trainables.errors import DataError

SHOWN = 40
"""Cells printed in full; the JSON has them all."""


def show_plan(study: Study, out: Console, *, as_json: bool) -> None:
    """Print cells, jobs and the estimated hours."""
    plan = Plan(study)
    try:
        cost, unknown = estimate(plan), ""
    except DataError as error:
        cost, unknown = None, str(error)
    if as_json:
        out.print_json(json.dumps(_described(plan, cost)))
        return
    out.print(f"[bold]{study.spec.name}[/]: {study.spec.title}")
    out.print(_cells(plan))
    planned = plan.planned()
    shared = len(plan.cells) - sum(plan.pretext(cell.key, {}) is None for cell in plan.cells)
    out.print(
        f"{planned['pretext']} pretrainings shared by {shared} cells, {planned['trial']} trials, "
        f"{planned['replicate']} replicates"
    )
    if cost is None:
        out.print(f"hours: unknown without the data ({unknown})", markup=False)
        return
    for kind, hours in cost.hours.items():
        out.print(f"  {kind:<10} {hours:8.2f} h")
    out.print(f"  {'total':<10} {cost.total:8.2f} h of {cost.device}, measured over a few steps here; pruning saves some")


def _cells(plan: Plan) -> Table:
    table = Table("cell", "starts from", "trials", "replicates", box=None, pad_edge=False)
    for cell in plan.cells[:SHOWN]:
        table.add_row(cell.key, _start(plan, cell.key), str(plan.trials), str(plan.spec.replicates))
    if len(plan.cells) > SHOWN:
        table.add_row(f"... and {len(plan.cells) - SHOWN} more", "", "", "")
    return table


def _start(plan: Plan, cell: str) -> str:
    pretext = plan.pretext(cell, {})
    if pretext is None:
        return str(plan.start_name(cell))
    return pretext.id


def _described(plan: Plan, cost: Estimate | None) -> dict[str, Any]:
    return {
        "name": plan.spec.name,
        "cells": [{"key": cell.key, "levels": dict(cell.levels), "start": _start(plan, cell.key)} for cell in plan.cells],
        "jobs": plan.planned(),
        "hours": None if cost is None else {**cost.hours, "total": cost.total, "device": cost.device},
    }
