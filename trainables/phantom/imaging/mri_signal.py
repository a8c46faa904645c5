"""MR image formation: coil sensitivity, texture, partial volume and Rician noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from trainables.phantom.anatomy.volume import Space, smooth_field


@dataclass(frozen=True)
class Scan:
    """Acquisition settings of one contrast.

    Attributes:
        texture: relative standard deviation of the signal within tissue.
        grain: correlation length of the texture, mm.
        blur: in-plane blur in mm.
        bias: standard deviation of the log sensitivity of the coils.
        noise: standard deviation of each channel's noise, as a share of the brightest tissue.
    """

    texture: float
    grain: float
    blur: float
    bias: float
    noise: float


def draw_scan(rng: np.random.Generator, blur: tuple[float, float], noise: tuple[float, float]) -> Scan:
    """Draw the settings of a random examination; `blur` (mm) and `noise` are ranges."""
    uniform = rng.uniform
    return Scan(
        texture=uniform(0.04, 0.11),
        grain=uniform(1.2, 3.0),
        blur=uniform(*blur),
        bias=uniform(0.08, 0.28),
        noise=uniform(*noise),
    )


def texture(space: Space, millimetres: float, rng: np.random.Generator) -> np.ndarray:
    """Return noise of unit variance correlated over a distance, float32 `(x, y, z)`."""
    white = rng.standard_normal(space.shape, np.float32)
    grain: np.ndarray = ndimage.gaussian_filter(white, [millimetres / step for step in space.spacing], mode="wrap")
    return np.asarray(grain / grain.std())


def sensitivity(space: Space, scan: Scan, rng: np.random.Generator) -> np.ndarray:
    """Return the coil sensitivity around 1, float32 `(x, y, z)`."""
    return np.asarray(np.exp(np.float32(scan.bias) * smooth_field(space.shape, (4, 4, 4), rng)))


def blurred(space: Space, signal: np.ndarray, millimetres: float) -> np.ndarray:
    """Return the signal blurred to the in-plane resolution, at least one voxel."""
    sigma = [max(millimetres / step, 0.5) for step in space.spacing[:2]]
    return np.asarray(ndimage.gaussian_filter(signal, [*sigma, 0.25]))


def magnitude(signal: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Return the magnitude of a signal with Gaussian noise of standard deviation `level` in both channels (Rician)."""
    real = signal + np.float32(level) * rng.standard_normal(signal.shape, np.float32)
    return np.asarray(np.hypot(real, np.float32(level) * rng.standard_normal(signal.shape, np.float32)))
