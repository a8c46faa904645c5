"""What an MR scanner makes of tissue: coil sensitivity, texture, partial volume and Rician noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from trainables.phantom.anatomy.volume import Space, smooth_field


@dataclass(frozen=True)
class Scan:
    """One contrast's settings.

    Attributes:
        texture: relative standard deviation of the signal within tissue.
        grain: correlation length of the texture, mm.
        blur: in the slice, mm.
        bias: standard deviation of the log sensitivity of the coils.
        noise: standard deviation of each channel's noise, as a share of the brightest tissue.
    """

    texture: float
    grain: float
    blur: float
    bias: float
    noise: float


def draw_scan(rng: np.random.Generator, blur: tuple[float, float], noise: tuple[float, float]) -> Scan:
    """Settings as examinations differ; `blur` (mm) and `noise` are lowest and highest."""
    uniform = rng.uniform
    return Scan(
        texture=uniform(0.04, 0.11),
        grain=uniform(1.2, 3.0),
        blur=uniform(*blur),
        bias=uniform(0.08, 0.28),
        noise=uniform(*noise),
    )


def texture(space: Space, millimetres: float, rng: np.random.Generator) -> np.ndarray:
    """Noise of unit variance correlated over a distance, float32 `(x, y, z)`."""
    white = rng.standard_normal(space.shape, np.float32)
    grain: np.ndarray = ndimage.gaussian_filter(white, [millimetres / step for step in space.spacing], mode="wrap")
    return np.asarray(grain / grain.std())


def sensitivity(space: Space, scan: Scan, rng: np.random.Generator) -> np.ndarray:
    """Of the coils, around 1, float32 `(x, y, z)`."""
    return np.asarray(np.exp(np.float32(scan.bias) * smooth_field(space.shape, (4, 4, 4), rng)))


def blurred(space: Space, signal: np.ndarray, millimetres: float) -> np.ndarray:
    """The signal as far as the scanner resolves it in the slice: never better than its voxels."""
    sigma = [max(millimetres / step, 0.5) for step in space.spacing[:2]]
    return np.asarray(ndimage.gaussian_filter(signal, [*sigma, 0.25]))


def magnitude(signal: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Magnitude of a signal with Gaussian noise of standard deviation `level` in both channels (Rician)."""
    real = signal + np.float32(level) * rng.standard_normal(signal.shape, np.float32)
    return np.asarray(np.hypot(real, np.float32(level) * rng.standard_normal(signal.shape, np.float32)))
