"""An augmentation policy: which operations, how strong, how likely."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from trainables.augment.draw import Draw
from trainables.augment.geometry import Crop, Elastic, Flip, Rotate, Scale, Translate, resample, transforms
from trainables.augment.intensity import Blur, Gamma, Jitter, Noise, Solarise
from trainables.augment.ultrasound import Attenuation, Compression, Gain, Haze, Shadow, Speckle

INTENSITY = (
    "jitter",
    "gamma",
    "solarise",
    "blur",
    "speckle",
    "attenuation",
    "gain",
    "shadow",
    "haze",
    "compression",
    "noise",
)
"""The operations on grey values, in the order in which they are applied."""


@dataclass(frozen=True)
class Policy:
    """Operations on a batch; None leaves one out, and no other's random numbers change by that.

    The defaults are SimCLR's policy as far as one channel has it (Chen et al. 2020, appendix A): random resized crop,
    flip, brightness and contrast, blur.

    Attributes:
        strength: of all operations together, from 0 up: 0 changes nothing, 1 is as the operations say.
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

    def apply(self, images: Tensor, masks: Tensor | None, draw: Draw) -> tuple[Tensor, Tensor | None]:
        """Augment a batch.

        Args:
            images: uint8, or float in [0, 1], `(B, C, H, W)`.
            masks: class indices `(B, H, W)`, moved with their images; or None.
            draw: the batch's randomness.

        Returns:
            Float32 images in [0, 1], and the masks.
        """
        values = images.float() / 255 if images.dtype == torch.uint8 else images
        with torch.autocast(images.device.type, enabled=False):
            maps, field = self.maps(draw), None
            if self.elastic is not None and self.strength > 0:
                field = self.elastic.field(draw.fork("elastic"), self.strength, (values.shape[2], values.shape[3]))
                maps = maps if maps is not None else torch.eye(2, 3, device=values.device).expand(len(values), 2, 3)
            if maps is not None:
                values, masks = resample(values, masks, maps, field)
            if self.strength > 0:
                for name in INTENSITY:
                    operation = getattr(self, name)
                    if operation is not None:
                        values = operation(values, draw.fork(name), self.strength)
        return values, masks

    def maps(self, draw: Draw) -> Tensor | None:
        """Where `apply` takes its pixels from with the same draw, elastic displacement apart.

        Affine maps `(B, 2, 3)` from the coordinates of its output to those of its input, both in [-1, 1]; None where
        nothing moves.
        """
        with torch.autocast(draw.device.type, enabled=False):
            return transforms(draw, self.strength, self.crop, self.flip, self.rotate, self.translate, self.scale)
