"""A study's report: tables, figures and a summary in its `report` folder, and the same on the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from analysis.comparisons import Comparison, compare
from analysis.figures import dice_vs_labels, learning_curves
from analysis.grid import Grid, arrange
from analysis.load import StudyResults, load
from analysis.overlays import overlays
from analysis.papers import paper_table
from analysis.render import Table
from analysis.style import save
from analysis.tables import cell_table, chosen_table, difference_table, trial_table
from analysis.temporal.section import temporal_section
from study.workspace import StudyFolder
from trainables.data.frames import FrameStore
from trainables.errors import DataError
from trainables.files import write_text


def write_report(folder: StudyFolder, console: Console) -> Path:
    """Write the report of a study that is finished or still running, and print it.

    Args:
        folder: of the study.
        console: where the tables, the sentences and the paths are printed.

    Returns:
        The folder with table.md, table.csv, differences.csv, chosen.csv, trials.csv, dice_vs_labels, learning_curves
        and overlays (each .png and .pdf), what a study over time adds, and summary.md.

    Raises:
        UserError: there is no such study, or a file of it is damaged.
    """
    results = load(folder)
    grid = arrange(results.plan)
    comparisons = compare(results, grid)
    state = [state_sentence(results), *failure_sentences(results)]
    cells, differences = cell_table(results), difference_table(comparisons)
    chosen, trials = chosen_table(results), trial_table(results)
    paper = paper_table(results)
    shown = [
        cells,
        *([paper] if paper is not None else []),
        *([differences] if comparisons else []),
        *([chosen, trials] if results.plan.planned["trial"] else []),
    ]
    conclusions = _conclusions(comparisons, grid)
    over_time = temporal_section(results, lambda: _frames(results))
    shown += over_time.tables
    if over_time.sentences:
        conclusions = [*(c.sentence for c in comparisons), *over_time.sentences]
    written = _write_tables(folder.report, cells, differences, chosen, trials)
    pictures, remarks = _write_figures(folder.report, results, grid)
    pictures += over_time.files
    summary = folder.report / "summary.md"
    write_text(summary, _summary(results, [*state, *remarks], conclusions, shown, pictures))
    _print(console, [results.plan.title, *state, *remarks], conclusions, shown, [*written, *pictures, summary])
    return folder.report


def state_sentence(results: StudyResults) -> str:
    """Whether the study is finished, or what it still lacks."""
    if not results.missing:
        return "The study is finished."
    planned = results.plan.planned
    lacking = ", ".join(f"{count} of {planned[kind]} {_plural(kind)}" for kind, count in results.missing.items())
    return f"The study is not finished: still missing {lacking}. What follows is from what there is."


def failure_sentences(results: StudyResults) -> list[str]:
    """One line a job that failed, with its reason."""
    failed = results.jobs[results.jobs["status"] == "failed"]
    return [f"{job} failed: {reason}." for job, reason in zip(failed["id"], failed["reason"], strict=True)]


def _conclusions(comparisons: list[Comparison], grid: Grid) -> list[str]:
    if comparisons:
        return [comparison.sentence for comparison in comparisons]
    if grid.references:
        return ["No comparison yet: no start and its reference share a replicate."]
    return ["No comparison: the study has no 'random' level to compare with."]


def _write_tables(folder: Path, cells: Table, differences: Table, chosen: Table, trials: Table) -> list[Path]:
    texts = {
        "table.md": cells.to_markdown(),
        "table.csv": cells.to_csv(),
        "differences.csv": differences.to_csv(),
        "chosen.csv": chosen.to_csv(),
        "trials.csv": trials.to_csv(),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]


def _write_figures(folder: Path, results: StudyResults, grid: Grid) -> tuple[list[Path], list[str]]:
    """The figures that can be made, and a remark for one that cannot. A figure of an earlier report is removed."""
    drawn = {"dice_vs_labels": dice_vs_labels(results, grid), "learning_curves": learning_curves(results, grid)}
    remarks = []
    try:
        picture = overlays(results, grid, _frames(results)) if not results.images.empty else None
        if picture is not None:
            drawn["overlays"] = picture
        else:
            remarks.append("No overlays yet: not every start has a replicate at the fewest labels.")
    except DataError as error:
        remarks.append(f"No overlays: {error}.")
    for suffix in (".png", ".pdf") if "overlays" not in drawn else ():
        (folder / "overlays").with_suffix(suffix).unlink(missing_ok=True)
    return [path for name, figure in drawn.items() for path in save(figure, folder / f"{name}.png")], remarks


def _frames(results: StudyResults) -> FrameStore:
    if results.plan.frames is None:
        raise DataError(f"{results.folder.plan}: names no frame store")
    return FrameStore.open(results.plan.frames)


def _summary(
    results: StudyResults, state: list[str], conclusions: list[str], tables: list[Table], pictures: list[Path]
) -> str:
    images = [f"![{path.stem.replace('_', ' ')}]({path.name})" for path in pictures if path.suffix in (".png", ".gif")]
    parts = [f"# {results.plan.title}", "\n\n".join(state), "\n".join(f"- {line}" for line in conclusions)]
    return "\n\n".join([*parts, *(table.to_markdown().rstrip() for table in tables), *images]) + "\n"


def _print(console: Console, lines: list[str], conclusions: list[str], tables: list[Table], files: list[Path]) -> None:
    title, *state = lines
    console.print(title, style="bold", markup=False, highlight=False)
    for line in state:
        console.print(line, markup=False, highlight=False)
    for table in tables:
        console.print()
        console.print(table.to_rich())
    console.print()
    for line in conclusions:
        console.print(f"- {line}", markup=False, highlight=False)
    console.print()
    for path in files:
        console.print(str(path), markup=False, highlight=False, soft_wrap=True)


def _plural(kind: str) -> str:
    return "pretrainings" if kind == "pretext" else f"{kind}s"
