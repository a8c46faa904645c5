"""`study list`, `validate` and `plan`: commands that read study files and train nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from study.cli.app import DataPaths, Json, Overrides, Profile, Root, RunAs, StudySource, app, err, load, out, workspace
from study.cli.label_text import label_line
from study.progress import Progress
from study.word_table import WordTable

if TYPE_CHECKING:
    from study.config.definition import Study
    from study.storage.workspace import Workspace
    from trainables.common.label_counts import LabelCounts


@app.command("list")
def list_studies(as_json: Json = False) -> None:
    """List the available studies.

    These are the studies that ship with this package and those in the current folder.
    """
    from study.config.catalog import available

    studies = available()
    if as_json:
        out.print_json(json.dumps([{"name": name, "title": title} for name, title in studies]))
        return
    table = WordTable(("study", "question"))
    for name, title in studies:
        table.add_row(name, title)
    out.print(table)


@app.command()
def validate(
    source: StudySource,
    profile: Profile = None,
    overrides: Overrides = None,
    data: DataPaths = None,
    run_as: RunAs = None,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Check every key, value and cell of a study file; with --data its datasets too, as `study data check` does.

    All mistakes of the file are reported at once, each with its place in it; then what no cell could train with: a
    start that its network cannot take, a missing file of weights, images or networks beyond this machine's memory.
    """
    from study.config.transfer_remarks import untrained_backbones
    from study.planning.dataset_check import check_datasets
    from study.planning.gpu_share import with_numbers
    from study.planning.machine import this_machine
    from study.planning.plan import Plan
    from study.scheduling.prior import prior_study
    from study.stages.weights_file import weight_reports

    study = load(source, profile, overrides, data, run_as)
    place = workspace(root)
    if place.root.exists():
        for prior in study.spec.search.prior:
            prior_study(place, prior)
    machine = this_machine()
    Plan(with_numbers(study, machine.gpus)).check(None if os.environ.get("RAY_ADDRESS") else machine)
    if data:
        _check_data(study)
    else:
        check_datasets(study, at_hand=True)
    if as_json:
        out.print_json(json.dumps({"name": study.spec.name, "cells": [cell.key for cell in study.cells()]}))
        return
    out.print(f"{study.spec.name}: valid, {len(study.cells())} cells", markup=False)
    for note in [
        *_unread_results(study, place),
        *([] if data else _unread(study, source)),
        *untrained_backbones(study),
    ]:
        out.print(f"note: {note}", markup=False, soft_wrap=True)
    labels = _labels(study, listed=bool(data))
    if labels:
        out.print(label_line(labels.values()), markup=False, soft_wrap=True)
    for report in weight_reports(study.resolve(cell.overrides) for cell in study.cells()):
        out.print(f"initial weights: {report}", markup=False, highlight=False, soft_wrap=True)


def _unread_results(study: Study, place: Workspace) -> list[str]:
    """Return what was not checked of earlier studies, for lack of a workspace."""
    if not study.spec.search.prior or place.root.exists():
        return []
    return [f"search.prior: not checked, as there is no workspace {place.root} (--workspace)"]


def _unread(study: Study, source: str) -> list[str]:
    """Return what was not checked of the study's datasets, whose files only `study data check` reads."""
    from study.planning.plan import datasets_of

    notes = []
    for settings in datasets_of(study):
        if settings.path is None:
            continue
        if Path(settings.path).expanduser().exists():
            notes.append(f"{settings.path}: no image was read. To read all files: study data check {source}")
        else:
            notes.append(f"{settings.path}: not on this machine, not checked")
    return notes


def _labels(study: Study, *, listed: bool) -> dict[str, LabelCounts]:
    """Return the numbers of labelled subjects by cell; empty where datasets may not be listed.

    Raises:
        DataError: a generated dataset has too few labelled subjects for a cell.
    """
    from study.planning.dataset_check import check_datasets, planned_labels
    from study.planning.plan import datasets_of

    if all(settings.phantom is not None for settings in datasets_of(study)):
        check_datasets(study)
        listed = True
    return planned_labels(study) if listed else {}


def _check_data(study: Study) -> None:
    """Read the datasets of a study that have a folder.

    Raises:
        DataError: the study would refuse a dataset.
    """
    from study.planning.dataset_check import check_datasets
    from study.planning.full_check import full_check
    from study.planning.plan import datasets_of
    from trainables.common.errors import DataError
    from trainables.data.store.prepare import dataset_folder

    check_datasets(study)
    for settings in datasets_of(study):
        if settings.path is None:
            continue
        with Progress(err) as progress, progress.phase(f"{settings.layout.title}: checking") as advance:
            report = full_check(settings, dataset_folder(settings), advance, study, None)
        if report.refusal:
            raise DataError(report.refusal)


@app.command()
def plan(
    source: StudySource,
    profile: Profile = None,
    overrides: Overrides = None,
    data: DataPaths = None,
    run_as: RunAs = None,
    measure: Annotated[bool, typer.Option("--measure", help="Measure again how fast this machine trains.")] = False,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Print the cells, jobs and estimated hours of a study.

    Nothing is run, except for a few training steps to measure this machine.
    """
    from study.cli.plan import show_plan
    from study.planning.calibration import Calibration

    place = workspace(root)
    rates = Calibration(place.calibration, remeasure=measure)
    show_plan(load(source, profile, overrides, data, run_as), place, rates, out, as_json=as_json)
