"""Temporal section of a report: pseudo-labels, smoothness, volumes and animation."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from analysis.io.load import StudyResults
from analysis.report.section import Section
from analysis.temporal.animation import write_animation
from analysis.temporal.claims import overlap_claims, pseudo_label_claims, smoothness_claims
from analysis.temporal.figures import area_curves, bland_altman, quality_by_position, smoothness_boxes
from analysis.temporal.paper import paper_tables
from analysis.temporal.read import read_temporal
from analysis.temporal.tables import phase_table, quality_table, smoothness_table, volume_table
from trainables.data.store.frames import FrameStore


def temporal_section(results: StudyResults, store: FrameStore | None) -> Section:
    """Return the temporal section; empty for a study without temporal results.

    Args:
        results: results of the study.
        store: frame store of the study; None omits the figures that need images.
    """
    temporal = read_temporal(results)
    if temporal.empty:
        return Section("Temporal consistency")
    tables = {
        "pseudo_labels": quality_table(temporal),
        "phases": phase_table(results),
        "smoothness": smoothness_table(results, temporal),
        "volumes": volume_table(results, temporal),
    }
    tables |= paper_tables(results, tables["phases"], tables["volumes"])
    figures: dict[str, Figure | Path | None] = {
        "pseudo_labels": quality_by_position(temporal),
        "smoothness": smoothness_boxes(results, temporal),
        "bland_altman": bland_altman(results, temporal),
    }
    if store is not None:
        figures["area_curves"] = area_curves(results, temporal, store)
        figures["sequence"] = write_animation(results, temporal, store, results.folder.report / "sequence.gif")
    claims = [
        *pseudo_label_claims(temporal),
        *smoothness_claims(results, temporal),
        *overlap_claims(results, temporal),
    ]
    return Section(
        "Temporal consistency",
        tuple(claim.sentence for claim in claims),
        {name: table for name, table in tables.items() if table is not None},
        {name: figure for name, figure in figures.items() if figure is not None},
    )
