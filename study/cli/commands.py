"""The commands of `study`."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from study.cli.app import As, Data, Json, Name, Profile, Root, RunName, Sets, app, out, workspace
from study.cli.run import run_to_its_end
from study.config.catalog import available
from study.config.definition import Study, load_study


def _load(name: str, profile: str | None, sets: list[str] | None, data: list[str] | None, run_as: str | None) -> Study:
    return load_study(name, profile=profile, sets=sets or [], data=data or [], name=run_as)


@app.command("list")
def list_studies(as_json: Json = False) -> None:
    """The studies that come with the software, and those in this folder."""
    studies = available()
    if as_json:
        out.print_json(json.dumps([{"name": name, "title": title} for name, title in studies]))
        return
    table = Table("study", "what it asks", box=None, pad_edge=False)
    for name, title in studies:
        table.add_row(name, title)
    out.print(table)


@app.command()
def validate(
    name: Name,
    profile: Profile = None,
    sets: Sets = None,
    data: Data = None,
    run_as: As = None,
    as_json: Json = False,
) -> None:
    """Check a study file: every key, every value, every cell."""
    study = _load(name, profile, sets, data, run_as)
    if as_json:
        out.print_json(json.dumps({"name": study.spec.name, "cells": [cell.key for cell in study.cells()]}))
        return
    out.print(f"{study.spec.name}: valid, {len(study.cells())} cells")


@app.command()
def plan(
    name: Name,
    profile: Profile = None,
    sets: Sets = None,
    data: Data = None,
    run_as: As = None,
    measure: Annotated[bool, typer.Option("--measure", help="Measure again how fast this machine trains.")] = False,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """What a study would run: cells, trials, shared pretrainings and the time they take; runs nothing."""
    from study.cli.plan import show_plan
    from study.planning.calibration import Calibration

    rates = Calibration(workspace(root).calibration, remeasure=measure)
    show_plan(_load(name, profile, sets, data, run_as), rates, out, as_json=as_json)


@app.command()
def run(
    name: Name,
    profile: Profile = None,
    sets: Sets = None,
    data: Data = None,
    run_as: As = None,
    root: Root = None,
    address: Annotated[
        str | None,
        typer.Option(help="Ray cluster to join ('auto' on one of its nodes). [$RAY_ADDRESS or none: start one here]"),
    ] = None,
) -> int:
    """Run what is missing of a study; run the same command again to go on after an interruption."""
    return run_to_its_end(_load(name, profile, sets, data, run_as), workspace(root), address)


@app.command()
def status(name: RunName, root: Root = None, as_json: Json = False) -> None:
    """How far a study is."""
    from study.cli.status import show_status

    show_status(workspace(root).existing_study(name), out, as_json=as_json)


@app.command()
def report(
    name: RunName,
    rows: Annotated[
        list[str] | None, typer.Option(help="A factor down the table. Repeatable. [all that are not across]")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="The factor across. [the amount of labels, or the last factor]")
    ] = None,
    margin: Annotated[float, typer.Option(help="Dice that may be lost for fewer labels.", min=0.0)] = 0.02,
    root: Root = None,
) -> None:
    """The study's tables, figures and conclusions, from what has finished so far; all of it in one HTML page."""
    from analysis.report.report import ReportOptions, write_report
    from study.tracking.views import view_path

    place = workspace(root)
    write_report(place.existing_study(name), out, ReportOptions(tuple(rows) if rows else None, columns, margin))
    path = view_path(place, name)
    if path is not None:
        out.print(f"MLflow: mlflow ui --backend-store-uri {place.tracking_uri}", soft_wrap=True)
        out.print(f"  then open http://127.0.0.1:5000{path}", soft_wrap=True, markup=False)
