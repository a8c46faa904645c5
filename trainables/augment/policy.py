"""Augmentation policy: the registry of operations, and their application to a batch."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Literal

import torch
from torch import Tensor

from trainables.augment import opencv
from trainables.augment.batch_rng import BatchRNG, to_device_async
from trainables.augment.color import Color
from trainables.augment.geometry import Crop, Elastic, Flip, Rotate, Scale, Translate, affine_maps, resample
from trainables.augment.intensity import Blur, Gamma, Jitter, Noise, Solarise
from trainables.augment.keep import Keep
from trainables.augment.operation import (
    AffineOperation,
    DisplacementOperation,
    IntensityOperation,
    Operation,
    PointwiseOperation,
    operation_name,
)
from trainables.augment.ultrasound import Attenuation, Compression, Gain, Haze, Shadow, Speckle
from trainables.common.added import ADDED
from trainables.common.errors import DataError

Resampling = Callable[[Tensor, Tensor | None, Tensor, tuple[int, int], Tensor | None], tuple[Tensor, Tensor | None]]
"""Function that resamples images and masks: `resample` or `opencv.warp`."""


@dataclass(frozen=True)
class Policy:
    """Augmentation operations of a batch; None turns one off and leaves the random numbers of the others unchanged.

    The fields are the registry of operations: a new operation is a class derived from `AffineOperation`,
    `DisplacementOperation`, `IntensityOperation` or `PointwiseOperation`, and one field here. A field's name selects
    the operation's random stream; within a kind, the order of the fields is the order of application. `jitter` stays
    the first pointwise operation, because it uses the means of the unchanged images.

    The defaults are SimCLR's policy for one channel (Chen et al. 2020, appendix A): random resized crop, flip,
    brightness and contrast, blur. For colors, add `color`.

    Attributes:
        strength: factor on all operations, at least 0: 0 changes nothing, 1 applies the operations as configured.
            "auto", in pretraining, is replaced by the strongest factor at which the method still learns
            (`trainables.pretext.strength`).
        size: side of the result in pixels, at least 16; None keeps the input's size. Small views cost less.
        crop: random resized crop.
        scale: magnification or reduction.
        rotate: rotation about the center.
        translate: shift along both axes.
        flip: horizontal flip.
        elastic: elastic deformation.
        jitter: brightness and contrast.
        gamma: power of the gray values.
        solarise: inversion of bright pixels.
        compression: change of dynamic range.
        color: saturation, hue and greyscale, for images with red, green and blue only.
        blur: Gaussian blur.
        speckle: multiplicative, correlated noise.
        attenuation: signal loss with depth.
        gain: time-gain compensation curve.
        shadow: acoustic shadow.
        haze: clutter near the probe.
        noise: additive Gaussian noise.
        keep: budget of all intensity operations together; None for no budget.
        added: operations of plug-ins, at most one of a name; within a kind, they follow those above.

    Example:
        >>> images = torch.zeros(4, 1, 64, 64, dtype=torch.uint8)
        >>> policy = Policy(size=32, crop=Crop(area=(0.2, 1.0)), blur=None)
        >>> views, _ = policy.apply(images, None, BatchRNG(seed=0, total=4, first=0, count=4))
        >>> views.shape, views.dtype
        (torch.Size([4, 1, 32, 32]), torch.float32)
    """

    strength: float | Literal["auto"] = 1.0
    size: int | None = None
    crop: Crop | None = field(default_factory=Crop)
    scale: Scale | None = None
    rotate: Rotate | None = None
    translate: Translate | None = None
    flip: Flip | None = field(default_factory=Flip)
    elastic: Elastic | None = None
    jitter: Jitter | None = field(default_factory=Jitter)
    gamma: Gamma | None = None
    solarise: Solarise | None = None
    compression: Compression | None = None
    color: Color | None = field(default=None, metadata=ADDED)
    blur: Blur | None = field(default_factory=Blur)
    speckle: Speckle | None = None
    attenuation: Attenuation | None = None
    gain: Gain | None = None
    shadow: Shadow | None = None
    haze: Haze | None = None
    noise: Noise | None = None
    keep: Keep | None = None
    added: tuple[Operation, ...] = field(default=(), metadata=ADDED)

    def __post_init__(self) -> None:
        if self.strength != "auto" and self.strength < 0:
            raise ValueError(f"strength is {self.strength}, expected at least 0")
        if self.size is not None and self.size < 16:
            raise ValueError(f"size is {self.size}, expected at least 16 pixels")
        names = [operation_name(each) for each in self.added]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"added names {', '.join(twice)} twice, expected each operation once")

    @classmethod
    def mild(cls) -> Policy:
        """Return the default policy of supervised training: small geometric changes and a little contrast."""
        return cls(
            crop=None,
            flip=None,
            rotate=Rotate(15.0),
            translate=Translate(0.1),
            scale=Scale((0.8, 1.25)),
            jitter=Jitter(0.3, 0.3, 0.8),
            blur=None,
        )

    @property
    def factor(self) -> float:
        """Factor on all operations.

        Raises:
            ValueError: `strength` is "auto", so that the factor has yet to be found.
        """
        if self.strength == "auto":
            raise ValueError("augment.strength is auto, expected the number that was found for it")
        return self.strength

    def resolved(self, strength: float) -> Policy:
        """Return the policy with `strength` in place of "auto"; a policy with a number stays as it is."""
        return replace(self, strength=strength) if self.strength == "auto" else self

    def active(self) -> dict[str, Operation]:
        """Return the operations that change something, by name, in order of application."""
        if self.factor == 0:
            return {}
        return self._operations()

    def require_channels(self, found: Sequence[str], place: str) -> None:
        """Check that images have the channels that the operations need.

        Args:
            found: names of the images' channels.
            place: path of the policy in a study file, for the message.

        Raises:
            DataError: an operation needs other channels.
        """
        for name, operation in self._operations().items():
            if operation.channels not in (None, tuple(found)):
                raise DataError(
                    f"{place}.{name}: needs images in colour (found the channels {', '.join(found)}, expected "
                    f"{', '.join(operation.channels or ())}). Fix: set it to null, or keep the colours of a manifest "
                    "(layout.channels: rgb)"
                )

    @property
    def channels(self) -> tuple[str, ...] | None:
        """Names of the channels that the operations need; None for any channels."""
        return next((each.channels for each in self._operations().values() if each.channels is not None), None)

    def _operations(self) -> dict[str, Operation]:
        """Return the operations that are not turned off, by name, in order of application."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        found = {name: value for name, value in values.items() if isinstance(value, Operation)}
        return found | {operation_name(each): each for each in self.added}

    def geometry_only(self) -> Policy:
        """Return the policy without its intensity operations; the others keep their random numbers."""
        added = tuple(each for each in self.added if not isinstance(each, IntensityOperation))
        names = [entry.name for entry in fields(self) if isinstance(getattr(self, entry.name), IntensityOperation)]
        return replace(self, **dict.fromkeys(names), keep=None, added=added)  # type: ignore[arg-type]

    def apply(self, images: Tensor, masks: Tensor | None, rng: BatchRNG) -> tuple[Tensor, Tensor | None]:
        """Return the augmented batch; compute on its device, or with OpenCV for uint8 images on a CPU.

        Args:
            images: uint8, or float in [0, 1], `(B, C, H, W)`.
            masks: class indices `(B, H, W)`, warped like their images; or None.
            rng: random numbers of the batch.

        Returns:
            Float32 images in [0, 1], and the masks.
        """
        with torch.autocast(images.device.type, enabled=False):
            pending = deque((name, op) for name, op in self.active().items() if isinstance(op, IntensityOperation))
            if images.device.type == "cpu" and images.dtype == torch.uint8:
                images, masks = self._warp(images, masks, rng, opencv.warp)
                values, warped = self._apply_lut(images, rng, pending), images
            else:
                values = images / 255 if images.dtype == torch.uint8 else images
                values, masks = self._warp(values, masks, rng, resample)
                warped = values
            for name, operation in pending:
                values = operation(values, rng.fork(name), self.factor)
            if self.keep is not None and self.factor > 0:
                values = self.keep.apply(values, warped / 255 if warped.dtype == torch.uint8 else warped)
            return values, masks

    def maps(self, rng: BatchRNG, size: tuple[int, int]) -> Tensor | None:
        """Return the affine maps that `apply` uses with equal random numbers; None without affine operations.

        Args:
            rng: random numbers of the batch.
            size: height and width of the input images in pixels.

        Returns:
            Maps from output to input coordinates, both in [-1, 1], float32 `(B, 2, 3)`; without displacements.
        """
        affine = {name: op for name, op in self.active().items() if isinstance(op, AffineOperation)}
        if not affine:
            return None
        # On the CPU and then copied: a GPU would take dozens of kernels for a few numbers.
        with torch.autocast("cpu", enabled=False):
            return to_device_async(affine_maps(affine, rng.on("cpu"), self.factor, size), rng.device)

    def _warp(
        self, images: Tensor, masks: Tensor | None, rng: BatchRNG, resampling: Resampling
    ) -> tuple[Tensor, Tensor | None]:
        """Return images and masks after all geometric operations and the change of size."""
        source = (images.shape[2], images.shape[3])
        size = source if self.size is None else (self.size, self.size)
        maps, displacement = self.maps(rng, source), None
        for name, operation in self.active().items():
            if isinstance(operation, DisplacementOperation):
                added = operation.displacement(rng.fork(name), self.factor, size)
                displacement = added if displacement is None else displacement + added
        if maps is None and (displacement is not None or size != source):
            maps = torch.eye(2, 3, device=images.device).expand(len(images), 2, 3)
        return (images, masks) if maps is None else resampling(images, masks, maps, size, displacement)

    def _apply_lut(self, images: Tensor, rng: BatchRNG, pending: deque[tuple[str, IntensityOperation]]) -> Tensor:
        """Return uint8 images as float32 after the leading pointwise operations and a blur that follows them.

        Pointwise operations change a lookup table of 256 gray levels per image. Applied operations are removed from
        `pending`.
        """
        levels, sigma = (torch.arange(256) / 255).expand(len(images), 1, 1, 256), None
        means = functools.partial(opencv.means, images)
        while pending and isinstance(pointwise := pending[0][1], PointwiseOperation):
            name, _ = pending.popleft()
            levels = pointwise.map_levels(levels, rng.fork(name), self.factor, means)
        if pending and isinstance(blur := pending[0][1], Blur):
            name, _ = pending.popleft()
            sigma = blur.sigmas(rng.fork(name), self.factor)
        return opencv.apply_lut(images, levels.reshape(-1, 256), sigma)
