"""Sections of a report, with what their figures need."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from analysis.charts.learning import learning_chart
from analysis.figures.curves import learning_curves
from analysis.figures.differences import differences
from analysis.figures.embedding import embedding_map
from analysis.figures.labels import dice_vs_labels, label_equivalence_plot
from analysis.figures.overlays import overlays
from analysis.figures.paired import paired_subjects
from analysis.figures.worst import worst_cases
from analysis.io.load import StudyResults
from analysis.papers.published import paper_table
from analysis.report.learning import learning_section
from analysis.report.search import search_section
from analysis.report.section import Section, available
from analysis.stats.ablation import ablation_sentences
from analysis.stats.comparisons import Comparison, compare
from analysis.stats.label_equivalence import efficiency_table, label_equivalence
from analysis.stats.minimal_labels import MARGIN, minimal_labels
from analysis.stats.pairs import best_probabilities, best_sentences, compare_pairs
from analysis.tables.cells import cell_table, difference_table
from analysis.tables.grid import Grid, arrange
from analysis.tables.other_metrics import other_metrics_table
from analysis.tables.pairs import best_table, pair_table
from analysis.temporal.section import temporal_section
from trainables.common.errors import DataError
from trainables.data.store.frames import FrameStore


@dataclass(frozen=True)
class ReportOptions:
    """Options of a report.

    Attributes:
        rows: factors of the rows; None for all but the column factor.
        columns: factor of the columns; None for the amount of labels, else the last factor.
        margin: non-inferiority margin in Dice, above 0.
        checklist: True to write the CLAIM checklist, too.
    """

    rows: tuple[str, ...] | None = None
    columns: str | None = None
    margin: float = MARGIN
    checklist: bool = False

    @property
    def folder_name(self) -> str:
        """Name of the report's folder: "report", or one of its own for an arrangement that was asked for."""
        rows = ["rows", "+".join(self.rows)] if self.rows else []
        columns = ["columns", self.columns] if self.columns else []
        return re.sub(r"[^\w.+-]", "_", "-".join(["report", *rows, *columns]))


def open_frames(results: StudyResults, remarks: list[str]) -> FrameStore | None:
    """Return the study's frame store; None, with a sentence added to `remarks`, where it cannot be opened."""
    try:
        if results.plan.frames is None:
            raise DataError(f"{results.folder.plan}: names no frame store")
        return FrameStore.open(results.plan.frames)
    except DataError as error:
        problem, _, _ = str(error).partition(". Fix:")
        name, workspace = results.folder.name, results.folder.workspace.root
        command = shlex.join(["study", "report", name, "--prepare", "--workspace", str(workspace)])
        remarks.append(f"No figures of images: {problem}. Fix: {command}")
        return None


def report_sections(
    results: StudyResults, grid: Grid, options: ReportOptions, store: FrameStore | None, remarks: list[str]
) -> list[Section]:
    """Return the sections that have something to show.

    Args:
        results: results of the study.
        grid: arrangement of the cells in the table and in figures; conclusions are those of the usual arrangement.
        options: rows, columns and margin.
        store: frame store of the study; None draws no images.
        remarks: gets a sentence for each figure that cannot be drawn.
    """
    usual = arrange(results.plan)
    over_time = temporal_section(results, store)
    sections = [
        _scores(results, grid, usual, options, compares_otherwise=bool(over_time.sentences)),
        learning_section(results, store),
        _labels(results, usual, options.margin),
        search_section(results, grid),
        _learning_curves(results, grid),
        _images(results, grid, store, remarks),
        over_time,
    ]
    return [section for section in sections if not section.empty]


def _scores(
    results: StudyResults, grid: Grid, usual: Grid, options: ReportOptions, *, compares_otherwise: bool
) -> Section:
    comparisons = compare(results, usual)
    sentences = _conclusions(comparisons, usual) if comparisons or not compares_otherwise else []
    if results.plan.base:
        sentences = [*ablation_sentences(comparisons), *sentences]
    tables = {"table": cell_table(results, options.rows, options.columns)}
    paper = paper_table(results)
    tables |= {"published_dice": paper} if paper is not None else {}
    tables |= {"differences": difference_table(comparisons)} if comparisons else {}
    pairs = compare_pairs(results, usual) if not results.plan.base else []
    tables |= {"pairs": pair_table(pairs, options.margin)} if pairs else {}
    probabilities = best_probabilities(results, usual)
    best = best_table(usual, probabilities)
    tables |= {"best": best} if best is not None else {}
    others = other_metrics_table(results, usual)
    tables |= {"other_metrics": others} if others is not None else {}
    sentences += best_sentences(results, usual, probabilities)
    figures = {
        "dice_vs_labels": dice_vs_labels(results, grid),
        "differences": differences(comparisons),
        "paired_subjects": paired_subjects(results, grid),
    }
    title = "Which change matters" if results.plan.base else "Test Dice"
    return Section(title, tuple(sentences), tables, available(figures))


def _labels(results: StudyResults, grid: Grid, margin: float) -> Section:
    fewest, equivalents = minimal_labels(results, grid, margin), label_equivalence(results, grid)
    sentences = [*(each.sentence(grid) for each in fewest), *(each.sentence(grid) for each in equivalents)]
    tables = {"label_efficiency": efficiency_table(grid, equivalents)} if equivalents else {}
    figures = {"label_efficiency": label_equivalence_plot(grid, equivalents)}
    return Section("How few labels are enough", tuple(sentences), tables, available(figures))


def _learning_curves(results: StudyResults, grid: Grid) -> Section:
    charts = {"learning_curves": learning_chart(results, grid)}
    figures = {"learning_curves": learning_curves(results, grid)}
    return Section("Learning curves", (), {}, figures, available(charts))


def _images(results: StudyResults, grid: Grid, store: FrameStore | None, remarks: list[str]) -> Section:
    """Return the section with images; a remark explains each figure that cannot be drawn."""
    if results.images.empty:
        remarks.append("No overlays yet: no start has a finished replicate.")
    if results.images.empty or store is None:
        return Section("Images")
    drawings: dict[str, Callable[[], Figure | None]] = {
        "overlays": lambda: overlays(results, grid, store),
        "worst_cases": lambda: worst_cases(results, grid, store),
        "embedding_map": lambda: embedding_map(results, store),
    }
    figures: dict[str, Figure | Path] = {}
    for name, draw in drawings.items():
        try:
            figure = draw()
        except DataError as error:
            remarks.append(f"No {name.replace('_', ' ')}: {error}.")
            continue
        if figure is not None:
            figures[name] = figure
    return Section("Images", figures=figures)


def _conclusions(comparisons: list[Comparison], grid: Grid) -> list[str]:
    if comparisons:
        return [comparison.sentence for comparison in comparisons]
    if grid.references:
        return ["No comparison yet: no row shares a replicate with its reference."]
    return ["No comparison: no factor of the study has the reference level 'random'."]
