"""Areas, volumes, ejection fraction and smoothness of predicted masks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from trainables.downstream.test_metrics import BIPLANE, CAVITY
from trainables.metrics.clinical import Discs, discs, ejection_fraction
from trainables.metrics.temporal import area_curves, smoothness
from trainables.prediction.decoding import DecodedImage

MM2, PIXELS = "mm2", "pixels"


@dataclass(frozen=True)
class Ventricle:
    """A left ventricle at end-diastole and end-systole, the moments of its largest and smallest area or volume.

    Attributes:
        ed: index of the end-diastolic frame, or of the volume of a cine of volumes.
        es: index of the end-systolic frame or volume.
        ef: ejection fraction in percent.
        edv: end-diastolic volume in mL; None where the spacing is unknown.
        esv: end-systolic volume in mL; None where the spacing is unknown.
        discs: the discs at end-diastole and end-systole that its volumes in mL are of, None for an empty cavity; None
            where the volumes are unknown, or those of slices.
    """

    ed: int
    es: int
    ef: float
    edv: float | None = None
    esv: float | None = None
    discs: tuple[Discs | None, Discs | None] | None = None


@dataclass(frozen=True)
class Measures:
    """Numbers measured on the masks of one image.

    Attributes:
        unit: unit of the areas, "mm2" or "pixels".
        areas: area of each foreground class in each frame, float64 `(T, K - 1)`.
        volumes: volume of each foreground class in mL in each volume, float64 `(V, K - 1)`; None without slices, or
            without their spacing.
        smoothness: Equation 2 of each class over time, float64 `(K - 1,)` in `unit` squared; None without three frames.
        ventricle: the left ventricle, where the task has one; None for others.
    """

    unit: str
    areas: np.ndarray
    volumes: np.ndarray | None = None
    smoothness: np.ndarray | None = None
    ventricle: Ventricle | None = field(default=None)


def measure(image: DecodedImage, masks: np.ndarray, classes: tuple[str, ...], *, apical: bool) -> Measures:
    """Measure masks in the image's own size.

    Args:
        image: the image.
        masks: class indices `(T, H, W)`.
        classes: names of the class indices.
        apical: the images are apical views of the heart, so that a class "lv" is a ventricle whose volume is that of
            20 discs (Simpson's method).
    """
    spacing = image.spacing or (1.0, 1.0)
    areas = area_curves(masks, len(classes), spacing)
    unit = MM2 if image.spacing is not None else PIXELS
    cavity = classes.index(CAVITY) - 1 if CAVITY in classes else None
    if image.stack:
        volumes = _volumes(image, areas)
        heart = _of_volumes(volumes[:, cavity]) if volumes is not None and cavity is not None else None
        return Measures(unit, areas, volumes, ventricle=heart)
    smooth = smoothness(areas) if len(areas) > 2 else None
    heart = None
    if apical and cavity is not None and len(areas) > 1:
        heart = _of_frames(masks == cavity + 1, areas[:, cavity], image.spacing)
    return Measures(unit, areas, None, smooth, heart)


def is_apical(views: tuple[str, ...]) -> bool:
    """Return True if all views of a dataset are apical views, whose volumes are computed by discs."""
    return bool(views) and set(views) <= set(BIPLANE)


def _volumes(image: DecodedImage, areas: np.ndarray) -> np.ndarray | None:
    """Return the volumes in mL from the slices' areas in mm2, or None."""
    if image.spacing is None or image.slice_mm is None:
        return None
    return np.asarray(areas.reshape(image.volumes, -1, areas.shape[1]).sum(1) * image.slice_mm / 1000)


def _of_volumes(volumes: np.ndarray) -> Ventricle | None:
    """Return the ventricle of a cine of volumes `(V,)` in mL."""
    if len(volumes) < 2 or volumes.max() <= 0:
        return None
    ed, es = int(volumes.argmax()), int(volumes.argmin())
    return Ventricle(ed, es, _fraction(volumes[ed], volumes[es]), float(volumes[ed]), float(volumes[es]))


def _of_frames(cavity: np.ndarray, areas: np.ndarray, spacing: tuple[float, float] | None) -> Ventricle | None:
    """Return the ventricle of a sequence of one apical view."""
    if areas.max() <= 0:
        return None
    ed, es = int(areas.argmax()), int(areas.argmin())
    at_ed, at_es = (discs(cavity[frame], spacing or (1.0, 1.0)) for frame in (ed, es))
    edv, esv = (each.volume if each is not None else 0.0 for each in (at_ed, at_es))
    if edv <= 0:
        return None
    if spacing is None:
        return Ventricle(ed, es, _fraction(edv, esv))
    return Ventricle(ed, es, _fraction(edv, esv), edv, esv, (at_ed, at_es))


def _fraction(edv: float, esv: float) -> float:
    return float(ejection_fraction(edv, esv))
