"""`study report`: writes tables, figures and conclusions."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from study.cli.app import Root, RunName, app, err, out, workspace
from trainables.common.errors import UserError

if TYPE_CHECKING:
    from study.storage.workspace import StudyFolder, Workspace


class Checklist(StrEnum):
    """Reporting checklists that a study's records can fill in."""

    claim = "claim"


@app.command()
def report(
    name: RunName,
    rows: Annotated[
        list[str] | None,
        typer.Option(help="Factor of the rows. Repeatable (default: all but the column factor)."),
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Factor of the columns (default: the label fraction, else the last factor).")
    ] = None,
    margin: Annotated[float, typer.Option(help="Non-inferiority margin in Dice.", min=0.0)] = 0.02,
    checklist: Annotated[
        Checklist | None,
        typer.Option(help="Write a reporting checklist, too, filled in from the study's records."),
    ] = None,
    prepare: Annotated[
        bool,
        typer.Option("--prepare", help="Decode the dataset again if its frame store is missing or of another format."),
    ] = False,
    root: Root = None,
) -> None:
    """Write the tables, figures and conclusions of a study.

    All of them are also in one HTML page. A running study is reported with its results so far. A report with --rows or
    --columns has the same conclusions and a folder of its own, and leaves the usual report as it is.
    """
    from analysis.report.report import CHECKLIST, ReportOptions, write_report
    from study.tracking.local_store import move_files
    from study.tracking.views import view_path

    place = workspace(root)
    folder = place.existing_study(name)
    if prepare:
        prepare_frames(folder, place)
    options = ReportOptions(tuple(rows) if rows else None, columns, margin, checklist is not None)
    target = write_report(folder, out, options)
    if options.checklist:
        out.print(f"Checklist: {target / CHECKLIST}.md (also .csv, .tex and .html)", markup=False, soft_wrap=True)
    _print_notebooks(place, name)
    path = view_path(place, name)
    if path is not None:
        move_files(place.tracking_uri, place.root / "mlflow")  # the workspace may have moved since it ran
        out.print(f"MLflow: mlflow ui --backend-store-uri {place.tracking_uri}", markup=False, soft_wrap=True)
        out.print(f"  then open http://127.0.0.1:5000{path}", soft_wrap=True, markup=False)


def _print_notebooks(place: Workspace, name: str) -> None:
    import analysis.notebooks

    folder = next(iter(analysis.notebooks.__path__))
    out.print(
        f"Notebooks: STUDY_HOME={shlex.quote(str(place.root))} STUDY={name} jupyter lab {shlex.quote(folder)}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def prepare_frames(folder: StudyFolder, place: Workspace) -> None:
    """Build the frame stores of a study's cells where they are missing, and record the first one in the study's plan.

    Raises:
        UserError: a dataset is missing, or differs from the one that the study's jobs read.
    """
    from study.config.recorded_data import datasets_of_cells
    from study.plugins.recorded import load_recorded
    from study.progress import Progress
    from study.storage.lock import driver_lock
    from study.storage.plan_file import read_plan, write_plan
    from trainables.data.store.prepare import prepare

    plan = read_plan(folder.plan)
    load_recorded(plan)
    stores = []
    with driver_lock(folder.lock):
        for settings, cells in datasets_of_cells(plan):
            with Progress(err) as progress, progress.phase(f"{settings.layout.title}: preparing frames") as advance:
                store = prepare(settings, None, place.data, place.subject_key(), progress=advance)
            expected = _fingerprint(folder, cells) or store.fingerprint
            if store.fingerprint != expected:
                raise UserError(
                    f"{store.folder}: not the frames that the study was run on (found fingerprint "
                    f"{store.fingerprint[:12]}, expected {expected[:12]}). Fix: restore the dataset's files"
                )
            stores.append(store)
        write_plan(folder.plan, {**plan, "frames": {"data": str(stores[0].folder)}})


def _fingerprint(folder: StudyFolder, cells: Sequence[str]) -> str | None:
    """Return the fingerprint of the frames that trials and replicates of some cells read; None before the first one."""
    from study.storage.events import JobFinished, events_of_type
    from study.storage.ledger import read_ledger

    for event in events_of_type(read_ledger(folder.ledger), JobFinished):
        config = folder.job(event.job).config
        if event.cell in cells and config.exists():
            return str(json.loads(config.read_text())["config"]["data"])
    return None
