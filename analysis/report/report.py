"""Report of a study: tables, figures and conclusions as files, as one page, and on the terminal."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from rich.console import Console

from analysis.figures.curves import learning_curves
from analysis.figures.differences import differences
from analysis.figures.embedding import embedding_map
from analysis.figures.labels import dice_vs_labels, label_equivalence_plot
from analysis.figures.overlays import overlays
from analysis.figures.paired import paired_subjects
from analysis.figures.search import importance, parallel_coordinates, pareto, sensitivity
from analysis.figures.style import save
from analysis.figures.worst import worst_cases
from analysis.io.load import StudyResults, load
from analysis.papers.published import paper_table
from analysis.report.answer import answer
from analysis.report.design import GENERATED, design, is_generated
from analysis.report.html import Opening, render_page
from analysis.report.learning import learning_section, learning_sentences
from analysis.report.section import Section
from analysis.report.training_length import length_sentences
from analysis.stats.ablation import ablation_sentences
from analysis.stats.comparisons import Comparison, compare
from analysis.stats.early_signal import early_signal
from analysis.stats.label_equivalence import efficiency_table, label_equivalence
from analysis.stats.minimal_labels import MARGIN, minimal_labels
from analysis.stats.pairs import best_probabilities, best_sentences, compare_pairs
from analysis.tables.cells import cell_table, chosen_table, difference_table, trial_table
from analysis.tables.grid import Grid, arrange
from analysis.tables.pairs import best_table, pair_table
from analysis.temporal.section import temporal_section
from study.config.search import OBJECTIVES
from study.storage.workspace import StudyFolder
from trainables.common.errors import DataError
from trainables.common.files import write_text
from trainables.data.store.frames import FrameStore

PAGE, SUMMARY, WRITTEN = "report.html", "summary.md", "files.json"


@dataclass(frozen=True)
class ReportOptions:
    """Options of a report.

    Attributes:
        rows: factors of the rows; None for all but the column factor.
        columns: factor of the columns; None for the amount of labels, else the last factor.
        margin: non-inferiority margin in Dice, above 0.
    """

    rows: tuple[str, ...] | None = None
    columns: str | None = None
    margin: float = MARGIN


def write_report(folder: StudyFolder, console: Console, options: ReportOptions | None = None) -> Path:
    """Write and print the report of a study that is finished or still running.

    Args:
        folder: folder of the study.
        console: output of tables, conclusions and paths.
        options: rows, columns and margin; None for the defaults.

    Returns:
        The report folder, with report.html (everything), summary.md, each table as .csv, .md, .tex and .html, and each
        figure as .png and .pdf. Files that only an earlier report had are removed.

    Raises:
        UserError: the study does not exist, one of its files is damaged, or it has no such factor.
    """
    options = options or ReportOptions()
    results = load(folder)
    grid = arrange(results.plan, options.rows, options.columns)
    remarks: list[str] = []
    store = _frames(results, remarks)
    sections = [section for section in _sections(results, grid, store, options, remarks) if not section.empty]
    run = [*results.plan.notes, *length_sentences(results.plan)]
    answers = answer(results, grid, compare(results, grid), minimal_labels(results, grid, options.margin))
    state = [state_sentence(results), *run, *learning_sentences(results), *failure_sentences(results), *remarks]
    title = f"{results.plan.title} (on {GENERATED.lower()})" if is_generated(results) else results.plan.title
    pictures = _write_figures(folder.report, sections)
    files = [*_write_tables(folder.report, sections), *(path for paths in pictures.values() for path in paths)]
    shown = {name: paths[0] for name, paths in pictures.items()}
    texts = {
        SUMMARY: _summary(title, [*answers, *state], sections, shown),
        PAGE: render_page(title, Opening(answers, design(results, store), state), sections, shown),
    }
    for name, text in texts.items():
        write_text(folder.report / name, text)
        files.append(folder.report / name)
    _remove_outdated(folder.report, files)
    _print(console, [title, *answers, *state], sections, files)
    return folder.report


def state_sentence(results: StudyResults) -> str:
    """Return a sentence that says whether the study is finished, and which jobs are missing."""
    if not results.missing:
        return "The study is finished."
    failed = int((results.jobs["status"] == "failed").sum())
    if failed and results.ended:
        jobs = "1 job has" if failed == 1 else f"{failed} jobs have"
        return f"The study is finished; {jobs} failed, and what they would have shown is missing below."
    planned = results.plan.planned
    lacking = ", ".join(f"{count} of {planned[kind]} {_plural(kind)}" for kind, count in results.missing.items())
    return f"The study is not finished: {lacking} are missing. This report covers the finished jobs."


def failure_sentences(results: StudyResults) -> list[str]:
    """Return one line per failed job, with its reason."""
    failed = results.jobs[results.jobs["status"] == "failed"]
    return [f"{job} failed: {reason}." for job, reason in zip(failed["id"], failed["reason"], strict=True)]


def _sections(
    results: StudyResults, grid: Grid, store: FrameStore | None, options: ReportOptions, remarks: list[str]
) -> list[Section]:
    over_time = temporal_section(results, store)
    return [
        _scores(results, grid, options, compares_otherwise=bool(over_time.sentences)),
        learning_section(results, store),
        _labels(results, grid, options.margin),
        _search(results, grid),
        Section("Learning curves", figures={"learning_curves": learning_curves(results, grid)}),
        _images(results, grid, store, remarks),
        over_time,
    ]


def _scores(results: StudyResults, grid: Grid, options: ReportOptions, *, compares_otherwise: bool) -> Section:
    comparisons = compare(results, grid)
    sentences = _conclusions(comparisons, grid) if comparisons or not compares_otherwise else []
    if results.plan.base:
        sentences = [*ablation_sentences(comparisons), *sentences]
    tables = {"table": cell_table(results, options.rows, options.columns)}
    paper = paper_table(results)
    tables |= {"published_dice": paper} if paper is not None else {}
    tables |= {"differences": difference_table(comparisons)} if comparisons else {}
    pairs = compare_pairs(results, grid) if not results.plan.base else []
    tables |= {"pairs": pair_table(pairs, options.margin)} if pairs else {}
    probabilities = best_probabilities(results, grid)
    best = best_table(grid, probabilities)
    tables |= {"best": best} if best is not None else {}
    sentences += best_sentences(results, grid, probabilities)
    figures = {
        "dice_vs_labels": dice_vs_labels(results, grid),
        "differences": differences(comparisons),
        "paired_subjects": paired_subjects(results, grid),
    }
    title = "Which change matters" if results.plan.base else "Test Dice"
    return Section(title, tuple(sentences), tables, _available(figures))


def _labels(results: StudyResults, grid: Grid, margin: float) -> Section:
    fewest, equivalents = minimal_labels(results, grid, margin), label_equivalence(results, grid)
    sentences = [*(each.sentence(grid) for each in fewest), *(each.sentence(grid) for each in equivalents)]
    tables = {"label_efficiency": efficiency_table(grid, equivalents)} if equivalents else {}
    figures = {"label_efficiency": label_equivalence_plot(grid, equivalents)}
    return Section("How few labels are enough", tuple(sentences), tables, _available(figures))


def _search(results: StudyResults, grid: Grid) -> Section:
    title = "Search"
    if not results.plan.planned["trial"]:
        return Section(title)
    tables = {"chosen": chosen_table(results), "trials": trial_table(results)}
    signs = {name: 1 if OBJECTIVES.get(name) == "minimize" else -1 for name in results.plan.objectives}
    figures = {
        "importance": importance(results, grid),
        "sensitivity": sensitivity(results, grid),
        "parallel_coordinates": parallel_coordinates(results, grid),
        "pareto": pareto(results, grid, signs),
    }
    signal = early_signal(results)
    return Section(title, (signal.sentence,) if signal is not None else (), tables, _available(figures))


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


def _available(figures: Mapping[str, Figure | None]) -> dict[str, Figure | Path]:
    return {name: figure for name, figure in figures.items() if figure is not None}


def _conclusions(comparisons: list[Comparison], grid: Grid) -> list[str]:
    if comparisons:
        return [comparison.sentence for comparison in comparisons]
    if grid.references:
        return ["No comparison yet: no row shares a replicate with its reference."]
    return ["No comparison: no factor of the study has the reference level 'random'."]


def _write_tables(folder: Path, sections: Sequence[Section]) -> list[Path]:
    files = []
    for name, table in ((name, table) for section in sections for name, table in section.tables.items()):
        forms: dict[str, Callable[[], str]] = {
            "csv": table.to_csv,
            "md": table.to_markdown,
            "tex": table.to_latex,
            "html": table.to_html,
        }
        for suffix, text in forms.items():
            files.append(folder / f"{name}.{suffix}")
            write_text(files[-1], text())
    return files


def _write_figures(folder: Path, sections: Sequence[Section]) -> dict[str, list[Path]]:
    """Write every figure; return its files by name, first the one that the page shows."""
    figures = [item for section in sections for item in section.figures.items()]
    return {name: save(it, folder / f"{name}.png") if isinstance(it, Figure) else [it] for name, it in figures}


def _remove_outdated(folder: Path, files: Sequence[Path]) -> None:
    record = folder / WRITTEN
    names = {path.name for path in files}
    former = json.loads(record.read_text()) if record.exists() else []
    for name in set(former) - names:
        (folder / Path(name).name).unlink(missing_ok=True)
    write_text(record, json.dumps(sorted(names)))


def _frames(results: StudyResults, remarks: list[str]) -> FrameStore | None:
    """Return the study's frame store; None, with a remark, where it cannot be opened."""
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


def _summary(title: str, state: Sequence[str], sections: Sequence[Section], shown: Mapping[str, Path]) -> str:
    parts = [f"# {title}", "\n\n".join(state)]
    for section in sections:
        parts.append(f"## {section.title}")
        parts += ["\n".join(f"- {line}" for line in section.sentences)] if section.sentences else []
        parts += [table.to_markdown().replace("## ", "### ", 1).rstrip() for table in section.tables.values()]
        parts += [f"![{name.replace('_', ' ')}]({shown[name].name})" for name in section.figures]
    return "\n\n".join(parts) + "\n"


def _print(console: Console, lines: Sequence[str], sections: Sequence[Section], files: Sequence[Path]) -> None:
    title, *state = lines
    console.print(title, style="bold", markup=False, highlight=False)
    for line in state:
        console.print(line, markup=False, highlight=False, soft_wrap=True)  # paths and commands stay whole
    for section in sections:
        for table in section.tables.values():
            console.print()
            console.print(table.to_rich())
    console.print()
    for line in (line for section in sections for line in section.sentences):
        console.print(f"- {line}", markup=False, highlight=False)
    console.print()
    names = ", ".join(dict.fromkeys(path.stem for path in files[:-2]))
    console.print(f"Report: {files[-1]}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"Separate files in the same folder: {names}", markup=False, highlight=False, soft_wrap=True)


def _plural(kind: str) -> str:
    return "pretrainings" if kind == "pretext" else f"{kind}s"
