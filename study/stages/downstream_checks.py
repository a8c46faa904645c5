"""Checks of a downstream configuration that need neither data nor training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from study.config.plain import component_name
from study.config.spec import FileStart, ImageNetStart, RandomStart, Start, StudySpec
from study.planning.network_check import OWN_TRAINER
from study.stages.weights_file import fit_of
from trainables.common.errors import UserError
from trainables.downstream.trainers import TRAINERS
from trainables.external.nnunet.start import check_start
from trainables.networks.imagenet import has_imagenet_weights
from trainables.pretext.method import NetworkMethod

SMOOTHNESS = "val/smoothness"
"""Objective of a search for which trials segment whole validation sequences."""


def trainer_problems(spec: StudySpec) -> Iterator[str]:
    """Yield what the network's trainer refuses."""
    try:
        TRAINERS[spec.network.trainer](spec.downstream, spec.network, None, None)
    except UserError as error:
        yield str(error)


def start_problems(spec: StudySpec) -> Iterator[str]:
    """Yield why the network cannot start from the configured weights."""
    start, network = spec.pretext.method, str(component_name(type(spec.network)))
    if spec.network.trainer != OWN_TRAINER:
        yield from _own_start_problems(start, network)
        return
    if isinstance(start, ImageNetStart):
        yield from _imagenet_problems(spec, start, network)
    fit = fit_of(spec)
    if isinstance(fit, str):
        yield f"pretext.{'method' if isinstance(start, FileStart) else 'init_from'}: {fit}"
    if spec.downstream.transfer.load == "network" and not isinstance(
        start, RandomStart | ImageNetStart | NetworkMethod
    ):
        source = "file has" if isinstance(start, FileStart) else f"{component_name(type(start))} trains"
        yield (
            f"downstream.transfer.load: {source} a backbone only (found network). Fix: set it to backbone, or "
            "choose a pretext method that trains the whole network"
        )


def _own_start_problems(start: object, network: str) -> Iterator[str]:
    """Yield why nnU-Net cannot start from the configured weights."""
    if isinstance(start, FileStart):
        try:
            check_start(start.weights)
        except UserError as error:
            yield f"pretext.method: {error}"
    elif not isinstance(start, RandomStart):
        found = component_name(type(start))
        fix = "Fix: set pretext.method to random, or to a file of nnU-Net's weights"
        yield f"network: {network} starts from random weights (found {found}). {fix}"


def worker_problems(spec: StudySpec) -> Iterator[str]:
    """Yield why the requested workers cannot train a configuration."""
    for path, fit, resources in (
        ("downstream", spec.downstream.fit, spec.resources.downstream),
        *(
            ("pretext", step.fit, spec.resources.pretext)
            for step in ([] if isinstance(spec.pretext.method, Start) else spec.pretext.chain)
        ),
    ):
        if fit.batch_size % resources.workers:
            yield f"{path}.fit.batch_size: no multiple of {resources.workers} workers (found {fit.batch_size})"
    workers, transfer = spec.resources.downstream.workers, spec.downstream.transfer
    one = "Fix: set resources.downstream.workers to 1"
    if workers > 1 and (transfer.freeze_epochs or transfer.method):
        yield f"downstream.transfer: freeze_epochs and multitask need a single worker (found {workers}). {one}"
    if spec.network.trainer != OWN_TRAINER and workers > 1:
        yield f"network: {component_name(type(spec.network))} trains with one worker (found {workers}). {one}"
    if spec.network.trainer != OWN_TRAINER and spec.search.space and SMOOTHNESS in spec.search.objectives:
        name = component_name(type(spec.network))
        yield f"search.objectives: {name} predicts the test split only (found {SMOOTHNESS}). Fix: remove it"


def _imagenet_problems(spec: StudySpec, start: ImageNetStart, network: str) -> Iterator[str]:
    if not has_imagenet_weights(spec.network.backbone):
        backbone = component_name(type(spec.network.backbone))
        yield (
            f"pretext.method: {network} cannot start from ImageNet weights (found the backbone {backbone}, expected "
            "resnet50 or resnet18). Fix: leave this cell out (exclude), or choose another network or start"
        )
        return
    if start.download or (start.weights is not None and Path(start.weights).expanduser().is_file()):
        return
    found = "no file is given" if start.weights is None else f"there is no file {start.weights}"
    yield (
        f"pretext.method: ImageNet weights are missing ({found}). Fix: name torchvision's state dict "
        "({name: imagenet, weights: PATH}), or allow the download (download: true)"
    )
