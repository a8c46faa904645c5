"""`study evaluate`: scores a study's trained networks on labelled data that the study never saw."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from study.cli.app import Overrides, Root, RunName, app, err, out, workspace
from study.cli.console import foldable
from study.cli.predict import Device, device_of, recommended_cell
from study.progress import Progress
from study.word_table import WordTable
from trainables.common.errors import UserError

if TYPE_CHECKING:
    from analysis.io.load import PlannedStudy, StudyResults
    from study.prediction.evaluation import LabelledData
    from study.prediction.trained_cell import TrainedCell
    from trainables.data.settings import DataSettings


VERSION = 1
"""Version of the files that an evaluation writes."""


@app.command()
def evaluate(
    name: RunName,
    data: Annotated[list[str], typer.Option("--data", help="Labelled dataset: LAYOUT=PATH. Only one.")],
    cells: Annotated[
        list[str] | None, typer.Option("--cell", help="Key of a cell. Repeatable (default: the first of `study best`).")
    ] = None,
    every: Annotated[bool, typer.Option("--all-cells", help="Evaluate all cells and compare them.")] = False,
    sets: Overrides = None,
    output: Annotated[
        Path | None, typer.Option("--out", help="Folder of the results (default: one in the study's folder).")
    ] = None,
    device: Device = None,
    root: Root = None,
) -> None:
    """Score a study's trained networks on labelled data that the study never saw.

    All labelled subjects are test subjects, but those of whom an image was in the study's train or val split. Every
    replicate is scored by itself; means, intervals and comparisons are those of the report.
    """
    from analysis.io.external import external_results
    from analysis.io.load import load
    from study.config.datasets import named_dataset
    from study.prediction.evaluation import evaluate as evaluate_cell
    from study.prediction.evaluation import labelled_data
    from study.prediction.result_facts import EVALUATION, PREDICTION, claim_folder
    from study.prediction.trained_cell import trained_cell

    if len(data) > 1:
        raise UserError(f"--data: found {', '.join(data)}, expected one. Fix: call `study evaluate` for each dataset")
    place, target = workspace(root), device_of(device)
    folder = place.existing_study(name)
    results = load(folder)
    keys = list(results.plan.cells) if every else cells or [recommended_cell(folder)]
    by_cell = {each.cell: each for each in (trained_cell(folder, key) for key in keys)}
    trained = [by_cell[cell] for cell in results.plan.cells if cell in by_cell]
    given, named_layout = named_dataset(data[0], sets or []), any(each.startswith("layout.") for each in sets or [])
    found: dict[str, LabelledData] = {}  # by the cells' own dataset, which says how images are read and who was seen
    with Progress(err) as progress, progress.phase(f"{given.layout.title}: preparing frames") as advance:
        for each in trained:
            if each.store.fingerprint not in found:
                same = type(given.layout) is type(each.data.layout) and not named_layout
                like = replace(given, layout=each.data.layout) if same else given
                found[each.store.fingerprint] = labelled_data(each, like, place, advance)
    facts = _facts(trained, [found[each.store.fingerprint] for each in trained])
    target_folder = output.absolute() if output else folder.root / "evaluations" / _name(facts, given)
    claim_folder(target_folder, EVALUATION, facts, ("replicates.csv", PREDICTION))
    metrics: dict[str, dict[str, float]] = {}
    for number, each in enumerate(trained, 1):
        err.print(f"{number}/{len(trained)} {each.cell}", markup=False, highlight=False, soft_wrap=True)
        metrics |= evaluate_cell(each, found[each.store.fingerprint], target_folder, target)
    scored = external_results(results, [each.cell for each in trained], target_folder)
    compared = _report(scored, list(found.values()), metrics, target_folder)
    for text in _comparison_remarks(results.plan, scored.plan.cells, compared=compared):
        _print_note(text)


def _facts(trained: Sequence[TrainedCell], found: Sequence[LabelledData]) -> dict[str, object]:
    """Return everything that determines the results, of cells and of the data as each reads them."""
    return {
        "version": VERSION,
        "study": trained[0].folder.name,
        "cells": [each.cell for each in trained],
        "weights": {replicate.job: replicate.digest for each in trained for replicate in each.replicates},
        "data": [each.store.fingerprint for each in found],
    }


def _name(facts: Mapping[str, object], given: DataSettings) -> str:
    """Return the name of a folder for the results that some facts determine."""
    from trainables.data.layouts import layout_name
    from trainables.prediction.results import key_of

    return f"{layout_name(given.layout)}-{key_of(facts)[:12]}"


def _report(
    results: StudyResults, found: Sequence[LabelledData], metrics: Mapping[str, Mapping[str, float]], folder: Path
) -> bool:
    """Print and write the tables of the measures, of the replicates' metrics and, of several cells, of differences.

    Returns:
        True if cells were compared.
    """
    from analysis.stats.comparisons import compare
    from analysis.tables.cells import difference_table
    from analysis.tables.grid import arrange
    from analysis.tables.measures import measure_table
    from study.stages.results.csv_text import csv_text
    from trainables.common.files import write_text

    tables = {"measures": measure_table(results)}
    comparisons = compare(results, arrange(results.plan)) if len(results.plan.cells) > 1 else []
    if comparisons:
        tables["differences"] = difference_table(comparisons)
    for name, table in tables.items():
        write_text(folder / f"{name}.csv", table.data.to_csv(index=False))
        words = WordTable(table.header)
        for row in table.rows:
            words.add_row(*(foldable(entry.text, out) for entry in row))
        out.print(words)
        for note in table.notes:
            out.print(note, markup=False, highlight=False)
    names = sorted({name for each in metrics.values() for name in each})
    rows = [[job, *(repr(each[name]) if name in each else "" for name in names)] for job, each in metrics.items()]
    write_text(folder / "replicates.csv", csv_text([["replicate", *names], *rows]))
    for text in dict.fromkeys(text for each in found for text in _remarks(each)):
        _print_note(text)
    out.print(f"{folder}: tables, and the scores and masks of each replicate", markup=False, soft_wrap=True)
    return bool(comparisons)


def _remarks(found: LabelledData) -> Iterator[str]:
    """Return what the data lack, and how many subjects they share with the study."""
    if found.lacking:
        yield f"the data have no masks of {', '.join(found.lacking)}, which are not scored"
    if found.seen:
        yield f"{_subjects(found.seen)} left out, as the study was trained or chosen on an image of them"
    if found.unlabelled:
        yield f"{_subjects(found.unlabelled)} without masks, which are not scored"


def _comparison_remarks(study: PlannedStudy, cells: Collection[str], *, compared: bool) -> Iterator[str]:
    """Return why cells that were evaluated together are not compared, or not all of them."""
    from analysis.stats.comparisons import missing_references
    from analysis.tables.grid import arrange

    grid = arrange(study)
    if len(cells) < 2:
        return
    if not grid.references:
        yield "no differences: the study has neither a level 'random' nor an ablation's base to compare cells with"
    elif missing := missing_references(grid, cells):
        lack = "these references were not evaluated (add them with --cell)"
        yield f"cells are compared with their references only, and {lack}: {' '.join(missing)}"
    elif not compared:
        yield "no differences: the compared cells share no subject and replicate"


def _subjects(count: int) -> str:
    return f"{count} subject{'s' * (count != 1)}"


def _print_note(text: str) -> None:
    err.print(f"note: {text}", markup=False, highlight=False, soft_wrap=True)
