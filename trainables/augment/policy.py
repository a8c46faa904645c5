"""An augmentation policy: which operations, how strong, how likely."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from trainables.augment import opencv
from trainables.augment.batch_rng import BatchRNG
from trainables.augment.geometry import Crop, Elastic, Flip, Rotate, Scale, Translate, resample, transforms
from trainables.augment.intensity import Blur, Gamma, Jitter, Noise, Solarise
from trainables.augment.ultrasound import Attenuation, Compression, Gain, Haze, Shadow, Speckle

POINTWISE = ("jitter", "gamma", "solarise", "compression")
"""Operations that give each grey value of an image a new one, wherever it stands."""

INTENSITY = (
    *POINTWISE,
    "blur",
    "speckle",
    "attenuation",
    "gain",
    "shadow",
    "haze",
    "noise",
)
"""The operations on grey values, in the order in which they are applied."""


Resampling = Callable[[Tensor, Tensor | None, Tensor, tuple[int, int], Tensor | None], tuple[Tensor, Tensor | None]]
"""Moves images and masks, given maps, the size of what comes out, and displacements."""


@dataclass(frozen=True)
class Policy:
    """Operations on a batch; None leaves one out, and no other's random numbers change by that.

    The defaults are SimCLR's policy as far as one channel has it (Chen et al. 2020, appendix A): random resized crop,
    flip, brightness and contrast, blur.

    Attributes:
        strength: of all operations together, from 0 up: 0 changes nothing, 1 is as the operations say.
        size: side in pixels of what comes out, from 16 up; None for that of what goes in. Small views cost less.
        crop: random resized crop.
        flip: mirror.
        rotate: turn.
        translate: shift.
        scale: enlarge or shrink.
        elastic: smooth displacement.
        jitter: brightness and contrast.
        gamma: power of the grey values.
        solarise: invert bright pixels.
        blur: Gaussian.
        speckle: multiplicative, correlated noise.
        attenuation: loss with depth.
        gain: time-gain curve.
        shadow: acoustic shadow.
        haze: clutter near the probe.
        compression: another dynamic range.
        noise: additive.
    """

    strength: float = 1.0
    size: int | None = None
    crop: Crop | None = field(default_factory=Crop)
    flip: Flip | None = field(default_factory=Flip)
    rotate: Rotate | None = None
    translate: Translate | None = None
    scale: Scale | None = None
    elastic: Elastic | None = None
    jitter: Jitter | None = field(default_factory=Jitter)
    gamma: Gamma | None = None
    solarise: Solarise | None = None
    blur: Blur | None = field(default_factory=Blur)
    speckle: Speckle | None = None
    attenuation: Attenuation | None = None
    gain: Gain | None = None
    shadow: Shadow | None = None
    haze: Haze | None = None
    compression: Compression | None = None
    noise: Noise | None = None

    def __post_init__(self) -> None:
        if self.strength < 0:
            raise ValueError(f"strength is {self.strength}, expected at least 0")
        if self.size is not None and self.size < 16:
            raise ValueError(f"size is {self.size}, expected at least 16 pixels")

    @classmethod
    def mild(cls) -> Policy:
        """For training on labels: small turns, shifts and scales, and a little contrast."""
        return cls(
            crop=None,
            flip=None,
            rotate=Rotate(15.0),
            translate=Translate(0.1),
            scale=Scale((0.8, 1.25)),
            jitter=Jitter(0.3, 0.3, 0.8),
            blur=None,
        )

    def apply(self, images: Tensor, masks: Tensor | None, rng: BatchRNG) -> tuple[Tensor, Tensor | None]:
        """Augment a batch: on its device, and uint8 images on a CPU by OpenCV.

        Args:
            images: uint8, or float in [0, 1], `(B, C, H, W)`.
            masks: class indices `(B, H, W)`, moved with their images; or None.
            rng: random numbers of the batch.

        Returns:
            Float32 images in [0, 1], and the masks.
        """
        with torch.autocast(images.device.type, enabled=False):
            if images.device.type == "cpu" and images.dtype == torch.uint8:
                values, masks = self._by_bytes(images, masks, rng)
                left = [name for name in INTENSITY if name not in (*POINTWISE, "blur")]
            else:
                values = images.float() / 255 if images.dtype == torch.uint8 else images
                values, masks = self._warp(values, masks, rng, resample)
                left = list(INTENSITY)
            return self._changed(values, rng, left), masks

    def maps(self, rng: BatchRNG, size: tuple[int, int]) -> Tensor | None:
        """Where `apply` takes its pixels from with the same draw, elastic displacement apart.

        Affine maps `(B, 2, 3)` from the coordinates of its output to those of its input, both in [-1, 1]; None where
        nothing moves. `size` is the (height, width) of its input.
        """
        with torch.autocast(rng.device.type, enabled=False):
            return transforms(rng, self.strength, size, self.crop, self.flip, self.rotate, self.translate, self.scale)

    def _warp(
        self, images: Tensor, masks: Tensor | None, rng: BatchRNG, by: Resampling
    ) -> tuple[Tensor, Tensor | None]:
        source = (images.shape[2], images.shape[3])
        size = source if self.size is None else (self.size, self.size)
        maps, field = self.maps(rng, source), None
        if self.elastic is not None and self.strength > 0:
            field = self.elastic.field(rng.fork("elastic"), self.strength, size)
        if maps is None and (field is not None or size != source):
            maps = torch.eye(2, 3, device=images.device).expand(len(images), 2, 3)
        return (images, masks) if maps is None else by(images, masks, maps, size, field)

    def _changed(self, values: Tensor, rng: BatchRNG, names: Iterable[str]) -> Tensor:
        for name in names if self.strength > 0 else ():
            operation = getattr(self, name)
            if operation is not None:
                values = operation(values, rng.fork(name), self.strength)
        return values

    def _by_bytes(self, images: Tensor, masks: Tensor | None, rng: BatchRNG) -> tuple[Tensor, Tensor | None]:
        """Geometry, pointwise operations and blur of uint8 images: each grey level's new value is found once."""
        images, masks = self._warp(images, masks, rng, opencv.warp)
        levels, sigma = (torch.arange(256) / 255).expand(len(images), 1, 1, 256), None
        if self.jitter is not None and self.strength > 0:
            means = functools.partial(opencv.means, images)
            levels = self.jitter(levels, rng.fork("jitter"), self.strength, means)
        levels = self._changed(levels, rng, (name for name in POINTWISE if name != "jitter"))
        if self.blur is not None and self.strength > 0:
            sigma = self.blur.sigmas(rng.fork("blur"), self.strength)
        return opencv.apply_lut(images, levels.reshape(-1, 256), sigma), masks
