"""Named augmentation policies: the values of `augment: NAME` in a study file."""

from __future__ import annotations

from collections.abc import Mapping

from trainables.augment.geometry import Crop, Flip, Rotate
from trainables.augment.intensity import Blur, Gamma, Jitter, Noise
from trainables.augment.keep import Keep
from trainables.augment.policy import Policy
from trainables.augment.ultrasound import Attenuation, Compression, Gain, Haze, Speckle

SQUARE = (0.8, 1.25)
"""Aspect ratios that keep the proportions of an organ."""

MILD = Policy(
    crop=Crop(area=(0.7, 1.0), aspect=SQUARE), flip=None, jitter=Jitter(brightness=0.3, contrast=0.3), blur=None
)
"""Views that show almost the whole image: for images of one body part in one standard plane."""

CROPPED = Policy(
    crop=Crop(area=(0.3, 1.0), aspect=SQUARE), flip=None, jitter=Jitter(brightness=0.3, contrast=0.3), blur=None
)
"""As `MILD`, with smaller crops."""

ULTRASOUND = Policy(
    crop=Crop(area=(0.3, 1.0), aspect=SQUARE),
    flip=None,
    jitter=Jitter(brightness=0.6, contrast=0.6),
    gamma=Gamma(range=(0.5, 2.0), p=0.8),
    compression=Compression(p=0.8),
    blur=None,
    speckle=Speckle(sigma=0.5, p=0.8),
    attenuation=Attenuation(),
    gain=Gain(amount=0.5, p=0.8),
    haze=Haze(),
    noise=Noise(),
    keep=Keep(spread=0.6, edges=0.7, sector=True),
)
"""Variations of ultrasound acquisition within a budget; no flip, as standard planes have a fixed orientation."""

MR = Policy(
    crop=Crop(area=(0.3, 1.0), aspect=SQUARE),
    flip=Flip(),
    rotate=Rotate(15.0),
    jitter=Jitter(brightness=0.4, contrast=0.4),
    gamma=Gamma(range=(0.7, 1.5), p=0.5),
    blur=Blur(sigma=(0.1, 1.0), p=0.3),
    noise=Noise(sigma=0.05, p=0.5),
    keep=Keep(spread=0.6, edges=0.7),
)
"""Variations of magnetic resonance images: position of the patient, contrast of the sequence, resolution, noise."""

POLICIES: Mapping[str, Policy] = {
    "natural": Policy(),
    "mild": MILD,
    "cropped": CROPPED,
    "ultrasound": ULTRASOUND,
    "mr": MR,
    "supervised": Policy.mild(),
}
"""Policies by name."""
