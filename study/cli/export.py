"""`study export`: what a study trained, as files that other software reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor

from study.cli.app import Root, RunName, app, out, workspace
from study.scheduling.state import StudyState
from study.storage.artifacts import ArtifactStore
from study.storage.events import JobFinished
from study.storage.ledger import read_ledger
from study.storage.workspace import StudyFolder
from study.tracking.model_card import model_card
from trainables.common.errors import UserError, did_you_mean
from trainables.common.files import atomic_writer, write_text
from trainables.networks.weights import part_of

export = typer.Typer(help="Write what a study trained as plain files.", no_args_is_help=True)
app.add_typer(export, name="export")


@export.command()
def backbone(
    name: RunName,
    output: Annotated[Path, typer.Option("--out", help="File to write (.pt); the model card comes beside it (.md).")],
    pretext: Annotated[
        str | None, typer.Option(help="Which pretraining: a method's name or the start of a job's name.")
    ] = None,
    colour: Annotated[
        bool,
        typer.Option("--colour", help="Give the first convolution three input channels, alike for grey."),
    ] = False,
    root: Root = None,
) -> None:
    """A pretrained backbone as a plain state dict, that torchvision's network of the same name loads."""
    place = workspace(root)
    job = _pretraining(place.existing_study(name), pretext)
    artifacts = ArtifactStore(place.artifacts)
    weights = part_of(artifacts.weights(job.digest), "backbone")
    about = artifacts.about(job.digest)
    if colour:
        weights = in_colour(weights)
    output.absolute().parent.mkdir(parents=True, exist_ok=True)
    with atomic_writer(output.absolute()) as file:
        torch.save(weights, file)
    card = output.absolute().with_suffix(".md")
    write_text(card, model_card(f"Backbone of `{name}`, {job.job}", about, weights))
    for path in (output.absolute(), card):
        out.print(str(path), highlight=False, soft_wrap=True)


def in_colour(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights whose first convolution takes three channels: each gets a third, so that grey in colour gives the same.

    Raises:
        UserError: the first convolution does not take a single channel.
    """
    first = next((key for key, value in weights.items() if value.ndim == 4), None)
    if first is None or weights[first].shape[1] != 1:
        found = "no convolution" if first is None else f"{weights[first].shape[1]} channels"
        raise UserError(f"--colour: the first convolution has {found}, expected one of a single channel")
    return {**weights, first: weights[first].repeat(1, 3, 1, 1) / 3}


def _pretraining(folder: StudyFolder, wanted: str | None) -> JobFinished:
    """The finished pretraining that is meant."""
    finished = StudyState.replay(read_ledger(folder.ledger)).outcomes.values()
    jobs = {each.job: each for each in finished if each.kind == "pretext" and each.outcome.status == "completed"}
    if not jobs:
        raise UserError(f"study '{folder.name}' has no finished pretraining")
    found = [job for job in jobs if wanted is None or job.startswith((wanted, f"pretext-{wanted}-"))]
    if len(found) != 1:
        text = "several pretrainings; say which with --pretext" if found else f"no pretraining '{wanted}'"
        raise UserError(f"study '{folder.name}': {text}{did_you_mean(wanted or '', jobs)}")
    return jobs[found[0]]
