"""Cardiac MR of one phantom patient: short-axis stack and long-axis planes over a heartbeat, with reference labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from trainables.common.seeds import numpy_generator
from trainables.phantom.anatomy.chest import Chest, draw_chest
from trainables.phantom.anatomy.heart import Heart, Spots, draw_heart
from trainables.phantom.anatomy.shapes import beat
from trainables.phantom.imaging.mri_signal import magnitude
from trainables.phantom.settings import PhantomSettings

VIEWS = ("SA", "2CH", "4CH")
_WHITE = 700.0  # stored value of a signal of 1
_THROUGH = (-0.33, 0.0, 0.33)  # where a slice is sampled across its thickness, shares of it: partial volume


@dataclass(frozen=True)
class ViewPlane:
    """Cine images of one view.

    Attributes:
        planes: position and axes of each slice `(n, 3, 3)`, as the readers' `Pixels.planes`.
        images: pixel values, uint16 `(T, n, S, S)`.
        labels: label values, uint8 `(T, n, S, S)`, indices into `heart.STRUCTURES`.
        thickness: slice thickness in mm.
        step: vector from one slice to the next `(3,)` in mm.
    """

    planes: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    thickness: float
    step: np.ndarray

    @property
    def affine(self) -> np.ndarray:
        """Affine from (column, row, slice) to NIfTI world coordinates (right, anterior, superior) in mm."""
        matrix = np.eye(4)
        matrix[:3, 0], matrix[:3, 1], matrix[:3, 2] = self.planes[0, 2], self.planes[0, 1], self.step
        matrix[:3, 3] = self.planes[0, 0]
        matrix[:2] *= -1
        return matrix


@dataclass(frozen=True)
class Examination:
    """Imaging examination of one patient.

    Attributes:
        heart: anatomy that was imaged.
        views: images by view name; end-diastole is the first frame.
        end_systole: frame with the smallest left ventricle.
    """

    heart: Heart
    views: Mapping[str, ViewPlane]
    end_systole: int

    @property
    def volumes(self) -> tuple[float, float]:
        """End-diastolic and end-systolic volume in mL."""
        return self.heart.volume(0.0), self.heart.volume(1.0)

    @property
    def ejection_fraction(self) -> float:
        """Ejection fraction in percent."""
        diastolic, systolic = self.volumes
        return 100 * (diastolic - systolic) / diastolic


def draw_examination(settings: PhantomSettings, name: str, views: tuple[str, ...] = VIEWS) -> Examination:
    """Generate one patient's examination with `settings.slices` short-axis slices and `settings.frames` frames."""
    heart = draw_heart(numpy_generator(settings.seed, "mr heart", name))
    rng = numpy_generator(settings.seed, "mr scanner", name)
    chest, contraction = draw_chest(rng), beat(settings.frames, 1.0, 0.0, rng.uniform(0.33, 0.42))
    contraction = contraction / contraction.max()
    pixel, noise, bias = rng.uniform(225, 265) / settings.size, rng.uniform(0.015, 0.05), rng.normal(0, 0.002, 3)
    jitter = rng.normal(0, 6, 3)
    images = {}
    for view in views:
        planes, thickness, step = view_planes(heart, view, settings, pixel, jitter)
        own = numpy_generator(settings.seed, "mr noise", name, view)
        pictures, labels = _images(heart, chest, planes, contraction, thickness, settings.size, (noise, bias), own)
        images[view] = ViewPlane(planes, pictures, labels, thickness, step)
    return Examination(heart, images, int(np.argmax(contraction)))


def view_planes(
    heart: Heart, view: str, settings: PhantomSettings, pixel: float, jitter: np.ndarray
) -> tuple[np.ndarray, float, np.ndarray]:
    """Return a view's slice planes, slice thickness and step, as an operator plans them.

    The short axis runs from beyond the base to beyond the apex across the long axis; the four-chamber plane holds the
    long axis and the right ventricle; the two-chamber plane holds the long axis and stands across that.
    """
    left, back = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
    if view == "SA":
        normal, right = heart.axis, left
    elif view == "4CH":
        normal, right = heart.third, left
    else:
        normal, right = heart.side, back
    right = right - (right @ normal) * normal
    right = right / np.linalg.norm(right)
    down = np.cross(normal, right)
    lower = np.array([0, 0, -1.0]) if view == "2CH" else back
    down = down if down @ lower > 0 else -down
    count = settings.slices if view == "SA" else 1
    gap = (heart.length + 24) / count if view == "SA" else 8.0
    middle = heart.centre + jitter - (jitter @ normal) * normal
    heights = (np.arange(count) - (count - 1) / 2) * gap
    corner = middle - (settings.size - 1) / 2 * pixel * (right + down)
    origins = corner + heights[:, None] * normal
    steps = [np.broadcast_to(vector * pixel, origins.shape) for vector in (down, right)]
    return np.stack([origins, *steps], axis=1), min(gap, 8.0), gap * normal


def sampled(plane: np.ndarray, size: int, off: np.ndarray | float = 0.0) -> np.ndarray:
    """Return the positions `(size, size, 3)` of a plane's pixels, shifted by `off`."""
    grid = np.arange(size)
    return np.asarray(plane[0] + off + grid[:, None, None] * plane[1] + grid[None, :, None] * plane[2])


def _images(
    heart: Heart,
    chest: Chest,
    planes: np.ndarray,
    contraction: np.ndarray,
    thickness: float,
    size: int,
    scanner: tuple[float, np.ndarray],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    noise, bias = scanner
    pictures = np.zeros((len(contraction), len(planes), size, size), np.uint16)
    labels = np.zeros(pictures.shape, np.uint8)
    for number, plane in enumerate(planes):
        normal = np.cross(plane[1], plane[2])
        normal = normal / np.linalg.norm(normal)
        layers = [_layer(heart, chest, sampled(plane, size, share * thickness * normal)) for share in _THROUGH]
        coil = np.exp(sampled(plane, size) @ bias)
        grain = 1 + 0.05 * ndimage.gaussian_filter(rng.standard_normal((size, size), np.float32), 1.0) / 0.28
        gain = (grain * coil).astype(np.float32)
        for moment, squeezed in enumerate(contraction):
            signal = np.zeros((size, size), np.float32)
            for share, (near, spots, still) in zip(_THROUGH, layers, strict=True):
                found, lit = heart.seen(spots, float(squeezed), still[near])
                whole = still.copy()
                whole[near] = lit
                signal += whole / len(_THROUGH)
                if share == 0:
                    labels[moment, number][near] = found
            seen = ndimage.gaussian_filter(signal, 0.6) * gain
            pictures[moment, number] = np.clip(np.rint(_WHITE * magnitude(seen, noise, rng)), 0, 4095)
    return pictures, labels


def _layer(heart: Heart, chest: Chest, points: np.ndarray) -> tuple[np.ndarray, Spots, np.ndarray]:
    """Return a layer's static parts: points near the heart, their positions in it, and the body's signal."""
    near = heart.near(points)
    return near, heart.locate(points[near]), chest.signal(points)
