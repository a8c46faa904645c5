"""`study export`: writes trained weights and trials as files that other software reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from study.cli.app import Root, RunName, app, out, workspace
from trainables.common.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

    from study.storage.events import JobFinished
    from study.storage.workspace import StudyFolder

LIBRARY = "model"
"""Part of a backbone's weights that has the names of timm."""

export = typer.Typer(
    rich_markup_mode=None,
    help="Export trained weights, or the trials of a search, as files that other software reads.",
    no_args_is_help=True,
)
app.add_typer(export, name="export")


@export.command()
def backbone(
    name: RunName,
    output: Annotated[Path, typer.Option("--out", help="File to write (.pt); its model card gets the suffix .md.")],
    pretext: Annotated[
        str | None, typer.Option(help="Pretraining to export: a method, or the start of a job's name.")
    ] = None,
    rgb: Annotated[
        bool,
        typer.Option("--rgb", help="Convert a one-channel first convolution to three equal input channels."),
    ] = False,
    root: Root = None,
) -> None:
    """Export a pretrained backbone as a state dict that torchvision's or timm's network of the same name loads."""
    import torch

    from study.storage.artifacts import ArtifactStore
    from study.tracking.model_card import model_card
    from trainables.common.files import atomic_writer, write_text
    from trainables.networks.weights import part_of

    place = workspace(root)
    job = _pretraining(place.existing_study(name), pretext)
    artifacts = ArtifactStore(place.artifacts)
    weights = part_of(artifacts.weights(job.digest), "backbone")
    weights = part_of(weights, LIBRARY) or weights
    about = artifacts.about(job.digest)
    if rgb:
        weights = to_rgb(weights)
    output.absolute().parent.mkdir(parents=True, exist_ok=True)
    with atomic_writer(output.absolute()) as file:
        torch.save(weights, file)
    card = output.absolute().with_suffix(".md")
    write_text(card, model_card(f"Backbone of `{name}`, {job.job}", about, weights, artifacts))
    for path in (output.absolute(), card):
        out.print(str(path), highlight=False, soft_wrap=True)


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
    out.print(f"optuna-dashboard {storage_url(output)}", markup=False, highlight=False, soft_wrap=True)


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


def _pretraining(folder: StudyFolder, wanted: str | None) -> JobFinished:
    """Return the ledger's event of the finished pretraining that an option names.

    Raises:
        UserError: none has finished, none has this name, or several have.
    """
    from study.scheduling.state import StudyState
    from study.storage.ledger import read_ledger

    finished = StudyState.replay(read_ledger(folder.ledger)).outcomes.values()
    jobs = {each.job: each for each in finished if each.kind == "pretext" and each.outcome.status == "completed"}
    if not jobs:
        raise UserError(f"study '{folder.name}' has no finished pretraining")
    found = [job for job in jobs if wanted is None or job.startswith((wanted, f"pretext-{wanted}-"))]
    if len(found) != 1:
        text = "several pretrainings. Fix: name one with --pretext" if found else f"no pretraining '{wanted}'"
        raise UserError(f"study '{folder.name}': {text}{did_you_mean(wanted or '', jobs)}")
    return jobs[found[0]]
