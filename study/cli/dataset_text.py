"""Text and JSON of what `study data` finds in a dataset; content of files is never taken as markup."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.text import Text

from study.cli.app import err, out
from study.cli.console import printable
from study.word_table import WordTable
from trainables.data.layouts.slice_axes import slice_axes_text
from trainables.data.records import SPLITS, DatasetIssue
from trainables.data.settings import DataSettings
from trainables.data.store.check import DatasetReport
from trainables.data.store.frames import FrameStore
from trainables.data.store.integrity import count_by_kind

_PLACES_SHOWN = 3


def report_as_json(settings: DataSettings, report: DatasetReport) -> dict[str, Any]:
    """Return a dataset's report as plain values."""
    subjects = {split: {"all": counts[0], "labelled": counts[1]} for split, counts in report.subjects.items()}
    return {
        "layout": settings.layout.title,
        "root": str(report.root),
        "listed": report.listed,
        "sequences": report.sequences,
        "subjects": subjects,
        "issues": [vars(issue) for issue in report.issues],
        "accepted": not report.refusal,
        "refusal": report.refusal,
        "warning": report.warning,
        "slice_axes": dict(report.slice_axes),
    }


def print_report(settings: DataSettings, report: DatasetReport) -> None:
    """Print each issue, the number of issues by kind, and whether a study would accept the dataset."""
    for line in _issue_lines(report.issues):
        out.print(Text(printable(line)), soft_wrap=True)
    if report.issues:
        table = WordTable(("issues", "kind", "excluded"))
        for kind, number in count_by_kind(report.issues).items():
            skipped = sorted({issue.skipped for issue in report.issues if issue.kind == kind and issue.skipped})
            table.add_row(str(number), printable(kind), ", ".join(skipped) or "nothing")
        out.print(table)
    parts = [f"{split} {every} ({labelled} labelled)" for split, (every, labelled) in report.subjects.items()]
    lost = f" of {report.listed} listed" if report.sequences < report.listed else ""
    summed = f"{settings.layout.title}: {report.sequences}{lost} sequences; subjects: {', '.join(parts)}"
    out.print(Text(printable(summed)), soft_wrap=True)
    if report.slice_axes:
        out.print(Text(f"slices: {slice_axes_text(report.slice_axes)}"), soft_wrap=True)
    if report.refusal:
        print_refusal(report.refusal)
        return
    if report.warning:
        told = Text.assemble(("warning:", "bold yellow"), " can be used for pretraining only (as `pretext_data`): ")
        err.print(told.append(printable(report.warning)), soft_wrap=True)
    out.print("accepted")


def _issue_lines(issues: Sequence[DatasetIssue]) -> list[str]:
    """Return a line for each issue; notes that say the same of more than three places share one."""
    places: dict[str, list[str]] = defaultdict(list)
    for issue in issues:
        if issue.severity == "note":
            places[issue.message].append(", ".join(filter(None, (issue.file, issue.place))))
    lines: dict[str, None] = {}
    for issue in issues:
        alike = places[issue.message] if issue.severity == "note" else []
        if len(alike) > _PLACES_SHOWN:
            text = f"{replace(issue, file='', place='')} (found {len(alike)}: {', '.join(alike[:_PLACES_SHOWN])}, ...)"
        else:
            text = str(issue)
        lines[f"{issue.severity}: {text}"] = None
    return list(lines)


def print_refusal(reason: str) -> None:
    """Print why a study would refuse a dataset."""
    err.print(Text.assemble(("refused:", "bold red"), " ", printable(reason)), soft_wrap=True)


def store_as_json(settings: DataSettings, store: FrameStore) -> dict[str, Any]:
    """Return the description of a prepared frame store as plain values."""
    return {
        "layout": settings.layout.title,
        "folder": str(store.folder),
        "fingerprint": store.fingerprint,
        "subjects": len(store.subjects),
        "frames": {split: len(store.rows(split)) for split in SPLITS},
        "labelled_frames": {split: len(store.rows(split, labelled=True)) for split in SPLITS},
        "views": list(store.views),
        "classes": list(store.classes),
        "channels": list(store.channel_names),
        "split_by": store.split_by,
        "issues": dict(store.issues),
    }


def print_store(described: Mapping[str, Any]) -> None:
    """Print the description of a prepared frame store, without what is empty."""
    out.print(Text.assemble((described["layout"], "bold"), f": {printable(described['folder'])}"), soft_wrap=True)
    for name, value in described.items():
        if name not in ("layout", "folder") and value:
            out.print(Text(printable(f"  {name.replace('_', ' ')}: {_brief(value)}")), soft_wrap=True)


def _brief(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {number}" for name, number in value.items())
    return ", ".join(value) if isinstance(value, list) else str(value)
