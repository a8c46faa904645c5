"""The part of a report that is about time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from analysis.load import StudyResults
from analysis.render import Table
from analysis.style import save
from analysis.temporal.animation import write_animation
from analysis.temporal.claims import overlap_claims, pseudo_label_claims, smoothness_claims
from analysis.temporal.figures import area_curves, bland_altman, quality_by_position, smoothness_boxes
from analysis.temporal.paper import paper_table
from analysis.temporal.read import read_temporal
from analysis.temporal.tables import phase_table, quality_table, smoothness_table, volume_table
from trainables.data.frames import FrameStore
from trainables.errors import DataError
from trainables.files import write_text


@dataclass(frozen=True)
class Section:
    """Of a report.

    Attributes:
        tables: to be shown.
        sentences: what they say.
        files: tables as CSV, figures, the animation.
    """

    tables: tuple[Table, ...] = ()
    sentences: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


def temporal_section(results: StudyResults, frames: Callable[[], FrameStore]) -> Section:
    """Write what a study has to say about time; an empty section where that is nothing.

    Args:
        results: of the study.
        frames: opens its frame store; what needs the pictures is left out where that fails.
    """
    temporal, folder = read_temporal(results), results.folder.report
    if temporal.empty:
        return Section()
    tables = {
        "pseudo_labels": quality_table(temporal),
        "phases": phase_table(results),
        "smoothness": smoothness_table(results, temporal),
        "volumes": volume_table(results, temporal),
    }
    tables["beside_the_paper"] = paper_table(results, tables["phases"], tables["volumes"])
    figures = {
        "pseudo_labels": quality_by_position(temporal),
        "smoothness": smoothness_boxes(results, temporal),
        "bland_altman": bland_altman(results, temporal),
    }
    files: list[Path] = []
    with contextlib.suppress(DataError):
        store = frames()
        figures["area_curves"] = area_curves(results, temporal, store)
        moving = write_animation(results, temporal, store, folder / "sequence.gif")
        files += [moving] if moving is not None else []
    for name, table in tables.items():
        if table is not None:
            write_text(folder / f"{name}.csv", table.to_csv())
            files.append(folder / f"{name}.csv")
    for name, figure in figures.items():
        if figure is not None:
            files += save(figure, folder / f"{name}.png")
    claims = [
        *pseudo_label_claims(temporal),
        *smoothness_claims(results, temporal),
        *overlap_claims(results, temporal),
    ]
    return Section(
        tuple(table for table in tables.values() if table is not None),
        tuple(claim.sentence for claim in claims),
        tuple(files),
    )
