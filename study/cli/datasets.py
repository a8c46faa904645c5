"""`study data`: checks, prepares and draws datasets."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from study.cli.app import DataPaths, Exit, Json, Overrides, Profile, Root, app, err, out, workspace
from study.progress import Progress
from trainables.common.errors import UserError

if TYPE_CHECKING:
    from trainables.data.settings import DataSettings
    from trainables.data.store.check import DatasetReport
    from trainables.data.store.frames import FrameStore

data = typer.Typer(rich_markup_mode=None, help="Check, prepare and draw datasets.", no_args_is_help=True)
app.add_typer(data, name="data")

FIGURE_SUFFIXES = (".png", ".pdf")
"""Suffixes of the two files of a figure; either names both."""

Target = Annotated[
    str,
    typer.Argument(metavar="TARGET", help="A dataset as LAYOUT=PATH, or a study's name or file for all its datasets."),
]


@data.command()
def check(
    target: Target,
    profile: Profile = None,
    sets: Overrides = None,
    paths: DataPaths = None,
    root: Root = None,
    as_json: Json = False,
) -> int:
    """Read every file of a dataset and list every issue, with the data that it excludes.

    The exit code is 2 if a study would refuse the dataset: a damaged file, more losses than `data.tolerance`, a view
    or structure that it lacks. A split without labels is a warning if the dataset can still be used for pretraining.
    """
    from trainables.data.store.check import check as check_dataset

    code, found = Exit.SUCCESS, []
    for settings, finetune in _datasets(target, profile, sets, paths):
        with Progress(err) as progress, progress.phase(f"{settings.layout.title}: checking") as advance:
            folder = _folder(settings, root, advance)
            report = check_dataset(settings, folder, advance, finetune=finetune)
        if report.refusal:
            code = Exit.USAGE
        found.append(_plain(settings, report))
        if not as_json:
            _show(settings, report)
    if as_json:
        out.print_json(json.dumps(found))
    return code


@data.command()
def prepare(
    target: Target,
    profile: Profile = None,
    sets: Overrides = None,
    paths: DataPaths = None,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Decode a dataset into the frame store that training reads; `study run` does this too if needed."""
    found = []
    for settings, store in _stores(target, profile, sets, paths, root):
        frames = {split: len(store.rows(split)) for split in ("train", "val", "test")}
        labelled = {split: len(store.rows(split, labelled=True)) for split in ("train", "val", "test")}
        found.append(
            {
                "layout": settings.layout.title,
                "folder": str(store.folder),
                "fingerprint": store.fingerprint,
                "subjects": len(store.subjects),
                "frames": frames,
                "labelled_frames": labelled,
                "views": list(store.views),
                "classes": list(store.classes),
                "channels": list(store.channel_names),
                "split_by": store.split_by,
                "issues": dict(store.issues),
            }
        )
    if as_json:
        out.print_json(json.dumps(found))
        return
    for one in found:
        out.print(f"[bold]{one['layout']}[/]: {one['folder']}", highlight=False, soft_wrap=True)
        for name, value in one.items():
            if name not in ("layout", "folder") and value:
                out.print(f"  {name.replace('_', ' ')}: {_brief(value)}", highlight=False, soft_wrap=True)


@data.command()
def show(
    target: Target,
    profile: Profile = None,
    sets: Overrides = None,
    paths: DataPaths = None,
    root: Root = None,
    output: Annotated[
        Path | None,
        typer.Option("--out", help="PNG file to write; a PDF gets the same name (default: LAYOUT.png)."),
    ] = None,
    count: Annotated[int, typer.Option(help="Largest number of frames on the sheet.", min=1, max=200)] = 24,
) -> None:
    """Draw a contact sheet of frames as training reads them, with mask outlines and hashed subject names."""
    if output is not None:
        _check_output(output)
    from analysis.figures.contact_sheet import contact_sheet
    from analysis.figures.style import save
    from trainables.data.layouts import layout_name

    for number, (settings, store) in enumerate(_stores(target, profile, sets, paths, root)):
        file = output or Path(f"{layout_name(settings.layout)}.png")
        file = file if number == 0 else file.with_stem(f"{file.stem}-{number + 1}")
        for written in save(contact_sheet(store, count), file.absolute()):
            out.print(str(written), highlight=False, soft_wrap=True)


@data.command()
def views(
    target: Annotated[
        str, typer.Argument(metavar="STUDY", help="A study's name or file; its `pretext.augment` makes the views.")
    ],
    profile: Profile = None,
    sets: Overrides = None,
    paths: DataPaths = None,
    root: Root = None,
    output: Annotated[Path, typer.Option("--out", help="PNG file to write; a PDF gets the same name.")] = Path(
        "views.png"
    ),
    count: Annotated[int, typer.Option(help="Largest number of frames, one row each.", min=1, max=50)] = 6,
    per_frame: Annotated[int, typer.Option("--views", help="Number of views of each frame.", min=1, max=12)] = 5,
) -> None:
    """Draw the views that pretraining sees, with the operations that made each and what they keep of the image."""
    _check_output(output)
    from analysis.figures.style import save
    from analysis.figures.views import view_sheet
    from study.config.definition import load_study
    from study.config.plain import component_name
    from study.planning.pretexts import pretext_tasks
    from trainables.common.seeds import derive

    study = load_study(target, profile=profile, sets=sets or [], data=paths or [])
    tasks = pretext_tasks(study)
    if not tasks:
        raise UserError(f"{target}: no cell pretrains (found random or ImageNet weights in pretext.method)")
    stores = _prepared([task.data for task in tasks], root)
    for number, task in enumerate(tasks):
        file = output if number == 0 else output.with_stem(f"{output.stem}-{number + 1}")
        seed = derive(study.spec.seed, "views")
        store = next(store for settings, store in stores if settings == task.data)
        if task.augment.strength == "auto":
            err.print("augment.strength is auto: the views are drawn at strength 1", highlight=False)
        figure = view_sheet(store, task.augment.resolved(1.0), task.method, seed, count, per_frame)
        for written in save(figure, file.absolute()):
            out.print(f"{component_name(type(task.method))}: {written}", highlight=False, soft_wrap=True)


def _check_output(file: Path) -> None:
    """Check the path of a figure before the dataset is read.

    Raises:
        UserError: the suffix is unknown, or the parent folder does not exist.
    """
    if file.suffix not in FIGURE_SUFFIXES:
        found = f"found '{file.suffix}'" if file.suffix else "found none"
        expected = " or ".join(FIGURE_SUFFIXES)
        raise UserError(f"--out {file}: unknown suffix ({found}, expected {expected}). Fix: choose another name")
    folder = file.absolute().parent
    if not folder.is_dir():
        raise UserError(f"--out {file}: the folder {folder} does not exist. Fix: create it, or choose another")


def _datasets(
    target: str, profile: str | None, sets: Sequence[str] | None, paths: Sequence[str] | None
) -> list[tuple[DataSettings, bool]]:
    """Return the settings of the datasets that a command's target names, and whether a study fine-tunes on each."""
    from study.config.datasets import named_dataset
    from study.config.definition import load_study
    from study.planning.plan import datasets_of, finetuning_datasets

    if "=" in target:
        return [(named_dataset(target, sets or []), False)]
    study = load_study(target, profile=profile, sets=sets or [], data=paths or [])
    finetuned = finetuning_datasets(study)
    return [(settings, settings in finetuned) for settings in datasets_of(study)]


def _folder(settings: DataSettings, root: Path | None, advance: Callable[[str, int, int], None]) -> Path:
    from trainables.data.store.prepare import dataset_root

    return dataset_root(settings, None, workspace(root).data, advance)


def _stores(
    target: str, profile: str | None, sets: Sequence[str] | None, paths: Sequence[str] | None, root: Path | None
) -> list[tuple[DataSettings, FrameStore]]:
    """Prepare the datasets of a target; return their settings and frame stores."""
    return _prepared([settings for settings, _ in _datasets(target, profile, sets, paths)], root)


def _prepared(datasets: Sequence[DataSettings], root: Path | None) -> list[tuple[DataSettings, FrameStore]]:
    """Prepare datasets; return their settings and frame stores, without duplicates."""
    from trainables.data.store.prepare import prepare as prepare_store

    place = workspace(root)
    stores: list[tuple[DataSettings, FrameStore]] = []
    for settings in datasets:
        if settings in [known for known, _ in stores]:
            continue
        with Progress(err) as progress, progress.phase(f"{settings.layout.title}: preparing frames") as advance:
            stores.append((settings, prepare_store(settings, None, place.data, place.subject_key(), advance)))
    return stores


def _plain(settings: DataSettings, report: DatasetReport) -> dict[str, Any]:
    subjects = {split: {"all": counts[0], "labelled": counts[1]} for split, counts in report.subjects.items()}
    return {
        "layout": settings.layout.title,
        "root": str(report.root),
        "sequences": report.sequences,
        "subjects": subjects,
        "issues": [vars(issue) for issue in report.issues],
        "accepted": not report.refusal,
        "refusal": report.refusal,
        "warning": report.warning,
        "slice_axes": dict(report.slice_axes),
    }


def _show(settings: DataSettings, report: DatasetReport) -> None:
    """Print each issue, the number of issues by kind, and whether a study would accept the dataset."""
    from trainables.data.store.integrity import count_by_kind

    for issue in report.issues:
        out.print(f"{issue.severity}: {issue}", markup=False, highlight=False, soft_wrap=True)
    if report.issues:
        table = Table("issues", "kind", "excluded", box=None, pad_edge=False)
        for kind, number in count_by_kind(report.issues).items():
            skipped = sorted({issue.skipped for issue in report.issues if issue.kind == kind and issue.skipped})
            table.add_row(str(number), kind, ", ".join(skipped) or "nothing")
        out.print(table)
    parts = [f"{split} {every} ({labelled} labelled)" for split, (every, labelled) in report.subjects.items()]
    summed = f"{settings.layout.title}: {report.sequences} sequences; subjects: {', '.join(parts)}"
    out.print(summed, markup=False, highlight=False, soft_wrap=True)
    if report.slice_axes:
        axes = ", ".join(f"along the {axis} axis in {number} volumes" for axis, number in report.slice_axes.items())
        out.print(f"slices: {axes}", markup=False, highlight=False, soft_wrap=True)
    if report.refusal:
        err.print("[bold red]refused:[/]", end=" ")
        err.print(report.refusal, markup=False, highlight=False, soft_wrap=True)
        return
    if report.warning:
        err.print("[bold yellow]warning:[/] can be used for pretraining only (as `pretext_data`):", end=" ")
        err.print(report.warning, markup=False, highlight=False, soft_wrap=True)
    out.print("accepted")


def _brief(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {number}" for name, number in value.items())
    return ", ".join(value) if isinstance(value, list) else str(value)
