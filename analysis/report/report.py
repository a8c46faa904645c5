"""Report of a study: tables, figures and conclusions as files, as one page, and on the terminal."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from rich.console import Console

from analysis.checklists.answers import checklist_answers
from analysis.checklists.checklist import checklist_table, claim_items
from analysis.figures.style import save
from analysis.io.load import StudyResults, load
from analysis.report.answer import answer_sentences
from analysis.report.design import design_facts, shown_title
from analysis.report.html import FirstScreen, render_page
from analysis.report.known_images import known_image_sentences
from analysis.report.learning import learning_sentences
from analysis.report.section import Section
from analysis.report.sections import ReportOptions, open_frames, report_sections
from analysis.report.state import failure_sentences, state_sentence
from analysis.report.training_length import length_sentences
from analysis.tables.grid import arrange
from study.storage.workspace import StudyFolder
from trainables.common.files import write_text
from trainables.data.store.frames import FrameStore

__all__ = ["ReportOptions", "write_report"]

PAGE, SUMMARY, WRITTEN, CHECKLIST = "report.html", "summary.md", "files.json", "checklist_claim"


def write_report(folder: StudyFolder, console: Console, options: ReportOptions | None = None) -> Path:
    """Write and print the report of a study that is finished or still running.

    Args:
        folder: folder of the study.
        console: output of tables, conclusions and paths.
        options: rows, columns and margin; None for the defaults.

    Returns:
        The report folder, with report.html (everything), summary.md, each table as .csv, .md, .tex and .html, and each
        figure as .png and .pdf. Files that only an earlier report had are removed. A report with other rows or columns
        than the usual ones has a folder of its own.

    Raises:
        UserError: the study does not exist, one of its files is damaged, or it has no such factor.
    """
    options = options or ReportOptions()
    results = load(folder)
    grid, target = arrange(results.plan, options.rows, options.columns), folder.root / options.folder_name
    remarks: list[str] = []
    store = open_frames(results, remarks)
    sections = report_sections(results, grid, options, store, remarks)
    first = _first_screen(results, options, store, remarks)
    pictures = _write_figures(target, sections)
    files = [*_write_tables(target, sections), *(path for paths in pictures.values() for path in paths)]
    if options.checklist:
        _write_checklist(target, results, store, first)
    shown = {name: paths[0] for name, paths in pictures.items()}
    texts = {SUMMARY: _summary(first, sections, shown), PAGE: render_page(first, sections, shown)}
    for name, text in texts.items():
        write_text(target / name, text)
        files.append(target / name)
    _remove_outdated(target, files)
    _print(console, first, sections, files)
    return target


def _first_screen(
    results: StudyResults, options: ReportOptions, store: FrameStore | None, remarks: Sequence[str]
) -> FirstScreen:
    usual = arrange(results.plan)
    notes = [*results.plan.notes, *known_image_sentences(results.plan), *length_sentences(results.plan)]
    return FirstScreen(
        shown_title(results.plan),
        state_sentence(results),
        answer_sentences(results, usual, options.margin),
        design_facts(results, usual, store),
        [*notes, *learning_sentences(results), *failure_sentences(results), *remarks],
    )


def _write_checklist(folder: Path, results: StudyResults, store: FrameStore | None, first: FirstScreen) -> None:
    """Write the checklist, which a later report without it does not remove: its authors may have gone on with it."""
    answers = checklist_answers(
        results, arrange(results.plan), store, first.title, first.facts, first.answer, first.remarks
    )
    section = Section("Checklist", tables={CHECKLIST: checklist_table(claim_items(), answers)})
    _write_tables(folder, [section])


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
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="constrained_layout not applied")  # a crowded figure is still drawn
        return {
            name: save(it, folder / f"{name}.png") if isinstance(it, Figure) else [_in_folder(folder, it)]
            for name, it in figures
        }


def _in_folder(folder: Path, picture: Path) -> Path:
    """Return the path of a picture in the report's folder, where it is copied if it lies elsewhere."""
    if picture.parent != folder:
        shutil.copyfile(picture, folder / picture.name)
    return folder / picture.name


def _remove_outdated(folder: Path, files: Sequence[Path]) -> None:
    record = folder / WRITTEN
    names = {path.name for path in files}
    former = json.loads(record.read_text()) if record.exists() else []
    for name in set(former) - names:
        (folder / Path(name).name).unlink(missing_ok=True)
    write_text(record, json.dumps(sorted(names)))


def _summary(first: FirstScreen, sections: Sequence[Section], shown: Mapping[str, Path]) -> str:
    parts = [f"# {first.title}", first.state, _list(first.answer)]
    parts += [_list(f"{fact.term}: {fact.text}" for fact in first.facts), *first.remarks]
    for section in sections:
        parts.append(f"## {section.title}")
        parts += [_list(section.sentences)] if section.sentences else []
        parts += [table.to_markdown().replace("## ", "### ", 1).rstrip() for table in section.tables.values()]
        parts += [f"![{section.caption(name)}]({shown[name].name})" for name in section.figures]
    return "\n\n".join(parts) + "\n"


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _print(console: Console, first: FirstScreen, sections: Sequence[Section], files: Sequence[Path]) -> None:
    console.print(first.title, style="bold", markup=False, highlight=False)
    for line in (first.state, *first.answer, *first.remarks):
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
