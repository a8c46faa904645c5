"""`study data`: checks, prepares and draws datasets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from study.cli.app import DataPaths, Exit, Json, Overrides, Profile, Root, app, err, out, workspace
from study.progress import Progress
from trainables.common.errors import DataError, UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from study.config.definition import Study
    from study.storage.workspace import Workspace
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
    from study.cli.dataset_text import print_report, report_as_json

    code, found = Exit.SUCCESS, []
    study = _study(target, profile, sets, paths)
    for settings in _datasets(target, sets, study):
        report = _checked(settings, study, workspace(root))
        code = Exit.USAGE if report.refusal else code
        found.append(report_as_json(settings, report))
        if not as_json:
            print_report(settings, report)
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
    from study.cli.dataset_text import print_store, store_as_json

    study = _study(target, profile, sets, paths)
    stores = _prepared(_datasets(target, sets, study), root)
    found = [store_as_json(settings, store) for settings, store in stores]
    if as_json:
        out.print_json(json.dumps(found))
        return
    for one in found:
        print_store(one)


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
    """Draw a contact sheet of frames as training reads them, with mask outlines and hashed subject names.

    Of a dataset that a study would refuse, the sheet marks the sequences with faults.
    """
    if output is not None:
        _check_output(output)
    from analysis.figures.contact_sheet import contact_sheet
    from analysis.figures.style import save
    from trainables.data.layouts import layout_name

    study, place = _study(target, profile, sets, paths), workspace(root)
    for number, settings in enumerate(_datasets(target, sets, study)):
        file = output or Path(f"{layout_name(settings.layout)}.png")
        file = file if number == 0 else file.with_stem(f"{file.stem}-{number + 1}")
        try:
            ((_, store),) = _prepared([settings], root)
            figure = contact_sheet(store, count)
        except DataError as error:
            figure = _refused_sheet(settings, study, place, count, str(error))
        for written in save(figure, file.absolute()):
            out.print(Text(str(written)), soft_wrap=True)


@data.command()
def views(
    target: Annotated[
        str, typer.Argument(metavar="STUDY", help="A study's name or file; its `pretext.augment` makes the views.")
    ],
    profile: Profile = None,
    sets: Overrides = None,
    paths: DataPaths = None,
    root: Root = None,
    output: Annotated[
        Path | None,
        typer.Option("--out", help="PNG file to write; a PDF gets the same name (default: NAME-views.png)."),
    ] = None,
    count: Annotated[int, typer.Option(help="Largest number of frames, one row each.", min=1, max=50)] = 6,
    per_frame: Annotated[int, typer.Option("--views", help="Number of views of each frame.", min=1, max=12)] = 5,
) -> None:
    """Draw the views that pretraining sees, with the operations that made each and what they keep of the image."""
    if output is not None:
        _check_output(output)
    from analysis.figures.style import save
    from analysis.figures.views import view_sheet
    from study.config.definition import load_study
    from study.config.plain import component_name
    from study.planning.dataset_check import require_channels
    from study.planning.pretexts import pretext_tasks
    from trainables.common.seeds import derive

    study = load_study(target, profile=profile, sets=sets or [], data=paths or [])
    tasks = pretext_tasks(study)
    if not tasks:
        raise UserError(f"{target}: no cell pretrains (found random or ImageNet weights in pretext.method)")
    stores = _prepared([task.data for task in tasks], root)
    for settings, store in stores:
        require_channels(study, settings, store.channel_names)
    first = output or Path(f"{study.spec.name}-views.png")
    for number, task in enumerate(tasks):
        file = first if number == 0 else first.with_stem(f"{first.stem}-{number + 1}")
        seed = derive(study.spec.seed, "views")
        store = next(store for settings, store in stores if settings == task.data)
        if task.augment.strength == "auto":
            err.print("augment.strength is auto: the views are drawn at strength 1", highlight=False)
        figure = view_sheet(store, task.augment.resolved(1.0), task.method, seed, count, per_frame)
        for written in save(figure, file.absolute()):
            out.print(Text(f"{component_name(type(task.method))}: {written}"), soft_wrap=True)


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


def _study(target: str, profile: str | None, sets: Sequence[str] | None, paths: Sequence[str] | None) -> Study | None:
    """Return the study that a command's target names; None for a dataset as LAYOUT=PATH."""
    from study.config.definition import load_study

    return None if "=" in target else load_study(target, profile=profile, sets=sets or [], data=paths or [])


def _datasets(target: str, sets: Sequence[str] | None, study: Study | None) -> list[DataSettings]:
    """Return the settings of the datasets that a command's target names."""
    from study.config.datasets import named_dataset
    from study.planning.plan import datasets_of

    return datasets_of(study) if study is not None else [named_dataset(target, sets or [])]


def _checked(settings: DataSettings, study: Study | None, place: Workspace) -> DatasetReport:
    from study.planning.full_check import full_check
    from trainables.data.store.prepare import dataset_root

    if settings.phantom is not None:
        place.create()
    with Progress(err) as progress, progress.phase(f"{settings.layout.title}: checking") as advance:
        return full_check(settings, dataset_root(settings, None, place.data, advance), advance, study, place)


def _refused_sheet(settings: DataSettings, study: Study | None, place: Workspace, count: int, reason: str) -> Figure:
    """Return the contact sheet of a dataset that a study refuses, and print the reason."""
    from analysis.figures.contact_sheet import fault_sheet
    from study.cli.dataset_text import print_refusal
    from trainables.data.store.sample import sample_sequences

    report = _checked(settings, study, place)
    print_refusal(report.refusal or reason)
    sample = sample_sequences(settings, report.root, report.issues, place.subject_key(), count)
    return fault_sheet(sample, settings.image_size)


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
