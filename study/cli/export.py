"""`study export`: writes trained weights and trials as files that other software reads."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from study.cli.app import Root, RunName, app, err, out, workspace
from study.cli.best import best_cell
from trainables.common.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

    from analysis.io.load import StudyResults
    from study.export.card import Score
    from study.storage.workspace import StudyFolder

NOT_STATED = "not stated"
"""Licence that nobody has stated."""

WEIGHT_SUFFIXES = (".pt", ".safetensors")
"""Suffixes of the formats that a backbone is written in."""

LIBRARY = "model"
"""Part of a backbone's weights that has the names of timm."""

export = typer.Typer(
    rich_markup_mode=None,
    help="Export trained weights, or the trials of a search, as files that other software reads.",
    no_args_is_help=True,
)
app.add_typer(export, name="export")


@export.command()
def model(
    name: RunName,
    output: Annotated[Path, typer.Option("--out", help="New folder.")],
    cell: Annotated[
        str | None, typer.Option(help="Cell to export, by its key (default: the first cell of `study best`).")
    ] = None,
    replicate: Annotated[
        int | None,
        typer.Option(min=0, help="Export one replicate, by its number (default: the mean of all replicates)."),
    ] = None,
    onnx: Annotated[bool, typer.Option(help="Write models/model.onnx, and check it with ONNX Runtime.")] = True,
    register: Annotated[
        bool, typer.Option("--register", help="Register the model under the study's name in MLflow's model registry.")
    ] = False,
    licence: Annotated[str, typer.Option("--license", help="Licence of the weights, for the model card.")] = NOT_STATED,
    data_licence: Annotated[
        str, typer.Option("--data-license", help="Licence of the training images, for the model card.")
    ] = NOT_STATED,
    root: Root = None,
) -> None:
    """Export a cell's segmentation networks as a folder that stands alone.

    It has the weights, the preprocessing, a model card, a loader that needs PyTorch only, a program of torch.export and
    an ONNX file with the preprocessing inside, and is a bundle of MONAI.
    """
    from analysis.io.load import load
    from study.export.card import export_card
    from study.export.folder import write_export
    from study.export.networks import read_networks
    from study.prediction.trained_cell import trained_cell
    from study.storage.plan_file import read_plan

    place = workspace(root)
    folder = place.existing_study(name)
    results = load(folder)
    key = best_cell(results) if cell is None else cell
    trained = read_networks(trained_cell(folder, key, replicate))
    _print_line(f"cell {key}, {len(trained.members)} networks")
    card = export_card(trained, score_of(results, key, replicate), licence, data_licence)
    made = write_export(trained, output, card, licence, onnx=onnx, report=_print_line)
    _print_line(str(made.folder))
    if register:
        from study.export.register import register as register_export
        from study.tracking.local_store import move_files

        uri = read_plan(folder.plan)["spec"].get("tracking") or place.tracking_uri
        move_files(uri, place.root / "mlflow")
        registered, number = register_export(made, name, uri)
        _print_line(f"mlflow models serve -m models:/{registered}/{number} --env-manager local")


def score_of(results: StudyResults, cell: str, replicate: int | None) -> Score | None:
    """Return a cell's test Dice with its interval, or that of one replicate; None without test results."""
    from analysis.stats.comparisons import estimate_of
    from analysis.stats.intervals import DICE_RANGE, interval
    from study.export.card import Score

    dice = results.dice(cell)
    if dice.empty:
        return None
    found = estimate_of(results, cell)
    if replicate is not None:
        found = interval(dice.loc[[replicate]].to_numpy(), possible=DICE_RANGE)
    return Score(found.mean, found.low, found.high, found.n_subjects, found.caveat)


def _print_line(text: str) -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True)


@export.command()
def backbone(
    name: RunName,
    output: Annotated[
        Path,
        typer.Option("--out", help="New file (.pt or .safetensors); its model card gets the suffix .md."),
    ],
    pretext: Annotated[
        str | None,
        typer.Option(
            help="Pretraining to export: a method, or the start of a job's name (default: the one that the first cell "
            "of `study best` starts from)."
        ),
    ] = None,
    rgb: Annotated[
        bool,
        typer.Option("--rgb", help="Convert a one-channel first convolution to three equal input channels."),
    ] = False,
    root: Root = None,
) -> None:
    """Export a pretrained backbone as a state dict that torchvision, timm and smp load into the network of its name."""
    from study.prediction.frames import frames_of
    from study.storage.artifacts import ArtifactStore
    from study.tracking.model_card import model_card
    from trainables.common.files import write_text
    from trainables.networks.weights import part_of

    file, card = _new_weights_file(output)
    place = workspace(root)
    folder = place.existing_study(name)
    job, digest = _pretraining(folder, pretext)
    artifacts = ArtifactStore(place.artifacts)
    weights = part_of(artifacts.weights(digest), "backbone")
    weights = part_of(weights, LIBRARY) or weights
    about = artifacts.about(digest)
    if rgb:
        weights = to_rgb(weights)
    _write_weights(file, weights)
    write_text(
        card,
        model_card(
            f"Backbone of `{name}`, {job}", about, weights, artifacts, frames_of(folder, job, about["config"]["data"])
        ),
    )
    for path in (file, card):
        _print_line(str(path))


def _new_weights_file(output: Path) -> tuple[Path, Path]:
    """Return the absolute paths of a new file of weights and of its model card.

    Raises:
        UserError: the suffix is unknown, or one of the files exists.
    """
    file = output.absolute()
    if file.suffix not in WEIGHT_SUFFIXES:
        expected = " or ".join(WEIGHT_SUFFIXES)
        found = file.suffix or "none"
        raise UserError(f"--out {file}: unknown suffix (found {found}, expected {expected}). Fix: name a file of these")
    card = file.with_suffix(".md")
    for path in (file, card):
        if path.exists():
            raise UserError(f"{path}: exists already. Fix: choose another --out, or remove it")
    return file, card


def _write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write a state dict as its suffix says: safetensors, or PyTorch's format."""
    import torch
    from safetensors.torch import save

    from trainables.common.files import atomic_writer

    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_writer(path) as file:
        if path.suffix == ".safetensors":
            file.write(save({name: value.contiguous() for name, value in weights.items()}, {"format": "pt"}))
        else:
            torch.save(dict(weights), file)


@export.command()
def optuna(
    name: RunName,
    output: Annotated[
        Path, typer.Option("--out", help="New file: .db for a SQLite database, .log for a journal of Optuna.")
    ],
    root: Root = None,
) -> None:
    """Export the trials of a search as an Optuna storage, for optuna-dashboard and Optuna's plots.

    Each searched cell becomes one study, with the trials of the ledger: configurations, reports, values and states.
    """
    from study.cli.lifecycle import study_from_plan
    from study.planning.plan import Plan
    from study.scheduling.optuna_trials import storage_url, write_optuna
    from study.storage.ledger import read_ledger
    from study.storage.plan_file import read_plan

    folder = workspace(root).existing_study(name)
    plan = Plan(study_from_plan(read_plan(folder.plan)))
    for study, count in write_optuna(plan, read_ledger(folder.ledger), output).items():
        out.print(f"{study}: {count} trials", markup=False, highlight=False, soft_wrap=True)
    out.print(f"optuna-dashboard {shlex.quote(storage_url(output))}", markup=False, highlight=False, soft_wrap=True)


def to_rgb(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights whose first convolution takes RGB input; gray images give the outputs that they gave before.

    Raises:
        UserError: the first convolution does not have a single input channel.
    """
    first = next((key for key, value in weights.items() if value.ndim == 4), None)
    if first is None or weights[first].shape[1] != 1:
        found = "no convolution" if first is None else f"{weights[first].shape[1]} channels"
        raise UserError(f"--rgb: cannot convert the first convolution (found {found}, expected 1 channel)")
    return {**weights, first: weights[first].repeat(1, 3, 1, 1) / 3}


def _pretraining(folder: StudyFolder, wanted: str | None) -> tuple[str, str]:
    """Return name and digest of the pretraining that an option names; None stands for the one of the best cell.

    Raises:
        UserError: none has finished, none has this name, several have, or the best cell starts from none.
    """
    from study.scheduling.state import StudyState
    from study.storage.ledger import read_ledger

    state = StudyState.replay(read_ledger(folder.ledger))
    completed = [each for each in state.outcomes.values() if each.outcome.status == "completed"]
    jobs = {each.job: each.digest for each in completed if each.kind == "pretext"}
    jobs |= {each.job: each.digest for each in state.reused.values()}
    if wanted is None and any(each.kind == "replicate" for each in completed):
        return _pretraining_of_best(folder, jobs)
    if not jobs:
        raise UserError(f"study '{folder.name}' has no finished pretraining")
    found = [job for job in jobs if wanted is None or job.startswith((wanted, f"pretext-{wanted}-"))]
    if len(found) != 1:
        text = "several pretrainings. Fix: name one with --pretext" if found else f"no pretraining '{wanted}'"
        raise UserError(f"study '{folder.name}': {text}{did_you_mean(wanted or '', jobs)}")
    return found[0], jobs[found[0]]


def _pretraining_of_best(folder: StudyFolder, jobs: Mapping[str, str]) -> tuple[str, str]:
    """Return name and digest of the pretraining that the best cell's first replicate starts from, and print it.

    The only finished pretraining is returned where the best cell starts from none or is unknown.

    Raises:
        UserError: the cell starts from none or is unknown, and there is no pretraining or several.
    """
    from analysis.io.load import load
    from study.storage.artifacts import ArtifactStore

    results = load(folder)
    try:
        cell = best_cell(results)
    except UserError:
        if len(jobs) != 1:
            raise
        return _only(jobs, "the best cell is unknown")
    starts = results.starts.get(cell, {})
    if starts:
        digest = starts[min(starts)]
        job = str(ArtifactStore(folder.workspace.artifacts).about(digest)["job"])
        several = len(set(starts.values()))
        which = f", replicate {min(starts)} of {several} pretrainings" if several > 1 else ""
        _print_note(f"{job}: the pretraining of the best cell, {cell}{which}")
        return job, digest
    if len(jobs) != 1:
        text = f"the best cell, {cell}, starts from no pretraining. Fix: name one with --pretext"
        raise UserError(f"study '{folder.name}': {text} (found {', '.join(jobs) or 'none'})")
    return _only(jobs, f"the best cell, {cell}, starts from none")


def _only(jobs: Mapping[str, str], remark: str) -> tuple[str, str]:
    """Return name and digest of the single pretraining, and print it with the remark."""
    job, digest = next(iter(jobs.items()))
    _print_note(f"{job}: the only finished pretraining; {remark}")
    return job, digest


def _print_note(text: str) -> None:
    err.print(text, markup=False, highlight=False, soft_wrap=True)
