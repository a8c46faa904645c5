"""Check, from shapes alone, that the networks of a study can be trained on its images in the memory there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from study.config.plain import canonical, plain
from study.config.resources import StageResources
from study.config.spec import Start, StudySpec
from study.planning.machine import GIGABYTE, Machine
from trainables.data.records import GREY
from trainables.engine.settings import FitSettings
from trainables.networks.footprint import Footprint, footprint
from trainables.networks.lora import LoRA, add_adapters
from trainables.pretext.method import BackboneMethod

OWN_TRAINER = "torch"
"""Name of the segmentation trainer for the networks of this package."""

FEW_IMAGES = 2
"""Images of a step that are certain whatever the labels; a batch may be smaller than its settings say."""

SIDE_UNITS = (7, 8, 12, 14, 16, 28, 32, 56, 64)
"""Sides of patches and of windows of encoders, whose multiples are sides of images that these accept."""

MODEL_SIDES = (224, 256, 384, 448, 512)
"""Sides of images for which encoders of a fixed size are built."""


@dataclass(frozen=True)
class _Step:
    """Training step of a stage.

    Attributes:
        path: dotted path of its settings.
        network: plain settings that determine the network.
        build: function that returns the network.
        fit: training settings.
        resources: resources of the stage.
        size: side of the images.
        frames: frames of a window; 1 for images.
    """

    path: str
    network: Any
    build: Callable[[], nn.Module]
    fit: FitSettings
    resources: StageResources
    size: int
    frames: int = 1


class NetworkCheck:
    """Checker of the networks of a study; it runs each distinct one once.

    Args:
        machine: machine whose memory must hold a step; None for unknown ones.
    """

    def __init__(self, machine: Machine | None = None) -> None:
        self._machine = machine
        self._known: dict[str, Footprint | str | None] = {}

    def problems(self, spec: StudySpec) -> Iterator[str]:
        """Yield why a network of a configuration cannot be trained."""
        for step in _steps(spec):
            images = max(1, min(FEW_IMAGES, step.fit.batch_size) // step.resources.workers)
            if step.resources.workers > 1 and images == 1:
                continue  # batch norm is shared with other workers
            found = self._footprint(step, images)
            if isinstance(found, str):
                nearest = self._nearest_size(step, images)
                text = f"{step.path}: the network cannot be trained on {images} image(s) of {step.size} pixels"
                yield f"{text} ({found})" + (f"; the nearest size that it accepts is {nearest}" if nearest else "")
            elif found is not None and self._machine is not None:
                yield from self._memory_problems(step, images, found, self._machine)

    def largest_step(self, spec: StudySpec) -> float:
        """Return the memory in GB that the largest step of a configuration takes at least; 0 if it is not known."""
        needs = [
            found.weights + _kept(step, found)
            for step in _steps(spec)
            if isinstance(found := self._footprint(step, FEW_IMAGES), Footprint)
        ]
        return max(needs, default=0.0) / GIGABYTE

    def _nearest_size(self, step: _Step, images: int) -> int | None:
        """Return the side of images nearest to a step's that its network accepts, among usual sides; None for none."""
        sides = {unit * (step.size // unit + up) for unit in SIDE_UNITS for up in (0, 1)}
        for side in sorted(sides | set(MODEL_SIDES), key=lambda each: abs(each - step.size)):
            if side and not isinstance(self._footprint(replace(step, size=side), images), str):
                return side
        return None

    def _footprint(self, step: _Step, images: int) -> Footprint | str | None:
        """Return the memory of a step, or why it cannot be taken."""
        shape = (images, len(GREY), *([step.frames] if step.frames > 1 else []), step.size, step.size)
        key = canonical([step.network, shape])
        if key not in self._known:
            try:
                self._known[key] = footprint(step.build, shape)
            except ValueError as error:
                self._known[key] = str(error)
        return self._known[key]

    def _memory_problems(self, step: _Step, images: int, found: Footprint, machine: Machine) -> Iterator[str]:
        on_gpu = step.resources.gpus_per_worker > 0
        limit = machine.gpu_gigabytes if on_gpu else machine.gigabytes
        if not limit:
            return
        need = (_kept(step, found) + found.weights) / GIGABYTE
        if need > limit:
            place = "a GPU" if on_gpu else "this machine"
            yield (
                f"{step.path}: a step on {images} image(s) of {step.size} pixels takes at least {need:.3g} GB "
                f"(found {limit:.3g} GB on {place}). Fix: lower data.image_size, or choose a smaller network"
            )


def _kept(step: _Step, found: Footprint) -> float:
    """Return the bytes that a forward pass keeps at least for the gradient."""
    if step.fit.recompute:
        return 0.0
    return found.activations * (1.0 if step.fit.precision == "float32" else 0.5)


def _steps(spec: StudySpec) -> Iterator[_Step]:
    """Yield the training steps of a configuration whose shapes are known."""
    channels = len(GREY)
    if spec.network.trainer == OWN_TRAINER:
        transfer = spec.downstream.transfer
        lora = (transfer.lora or LoRA()) if transfer.train == "lora" else None

        def segmentation() -> nn.Module:
            built = spec.network.build(channels, 2)
            built.backbone.requires_grad_(not transfer.keeps_backbone)
            if lora is not None:
                add_adapters(built.backbone, lora)
            return built

        plain_network = [plain(spec.network), transfer.keeps_backbone, lora and plain(lora)]
        fit, resources = spec.downstream.fit, spec.resources.downstream
        yield _Step(
            "downstream", plain_network, segmentation, fit, resources, spec.data.image_size, spec.network.frames
        )
    if isinstance(spec.pretext.method, Start):
        return
    backbone, size = spec.network.backbone, (spec.pretext_data or spec.data).image_size

    def encoder() -> nn.Module:
        return backbone.build(channels)

    for step in spec.pretext.chain:
        if isinstance(step.method, BackboneMethod):
            of_view = step.augment.size or size
            yield _Step("pretext", plain(backbone), encoder, step.fit, spec.resources.pretext, of_view)
