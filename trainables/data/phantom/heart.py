"""A beating heart in three dimensions, and the chest around it.

Points are in mm along DICOM's axes: x to the patient's left, y to the back, z to the head; the origin is the middle of
the left ventricle's base at end-diastole. The left ventricle's cavity is half an ellipsoid of revolution, so its volume
is known in closed form where its wall moves evenly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STRUCTURES = ("background", "lv", "myocardium", "rv", "la", "ra")
LV, MYOCARDIUM, RV, LA, RA = range(1, 6)
_SIGNAL = {"air": 0.0, "lung": 0.07, "muscle": 0.32, "fat": 0.85, "liver": 0.42, "bone": 0.25, "blood": 1.0}
"""Of tissues in a balanced steady-state cine."""


@dataclass(frozen=True)
class Heart:
    """One patient's heart.

    Attributes:
        axis: unit vector from the base to the apex.
        side: unit vector across it, from the left ventricle towards the right one.
        length: of the left ventricle's cavity at end-diastole, mm.
        radius: of its base at end-diastole, mm.
        wall: thickness of the myocardium at end-diastole, mm.
        shortening: of the length at end-systole, share.
        narrowing: of the radius at end-systole, share.
        sluggish: a part of the wall that moves less: (angle about the axis, its width in radians, share lost).
        right: the right ventricle's half width across and along the septum, and its length, shares of the left's.
        atria: depth of the left and of the right atrium at end-diastole, mm.
        blood: signal of blood relative to the scanner's usual.
        papillary: angles of the two papillary muscles about the axis.
    """

    axis: np.ndarray
    side: np.ndarray
    length: float
    radius: float
    wall: float
    shortening: float
    narrowing: float
    sluggish: tuple[float, float, float]
    right: tuple[float, float, float]
    atria: tuple[float, float]
    blood: float
    papillary: tuple[float, float]

    @property
    def third(self) -> np.ndarray:
        """Unit vector across the axis and the side."""
        return np.cross(self.axis, self.side)

    @property
    def centre(self) -> np.ndarray:
        """Middle of the left ventricle's long axis at end-diastole."""
        return np.asarray(self.axis * self.length / 2)

    def volume(self, contraction: float, steps: int = 400) -> float:
        """Of the left ventricle's cavity in mL, 0 <= `contraction` <= 1, by integrating its outline."""
        angle = (np.arange(steps) + 0.5) / steps * 2 * np.pi
        square = float(np.mean(self._radius(angle, contraction) ** 2))
        return 2 / 3 * np.pi * square * self.length * (1 - self.shortening * contraction) / 1000

    def labels(self, points: np.ndarray, contraction: float) -> np.ndarray:
        """Structure of each point `(..., 3)`, uint8 indices into STRUCTURES."""
        t, x, y = self._coordinates(points)
        length = self.length * (1 - self.shortening * contraction)
        wall = self.wall * (1 + 0.45 * contraction)
        angle, away = np.arctan2(y, x), np.hypot(x, y)
        radius = self._radius(angle, contraction)
        found = np.zeros(t.shape, np.uint8)
        below = t <= length
        inner = below & (away <= radius * _dome(t / length))
        outer = below & (away <= (radius + wall) * _dome((t + 0.6 * wall) / (length + 0.6 * wall)))

        across, along, reach = self.right
        bulge = _dome((t - (1 - reach) * length) / (reach * length))
        squeeze = 1 - 0.25 * contraction
        offset = 0.75 * (self.radius + self.wall) * bulge
        wide, high = across * self.radius * squeeze * bulge, along * self.radius * squeeze * bulge
        with np.errstate(divide="ignore", invalid="ignore"):
            found[below & (((x - offset) / wide) ** 2 + (y / high) ** 2 <= 1)] = RV
        for label, place, depth in ((LA, -0.15, self.atria[0]), (RA, 1.55, self.atria[1])):
            filled = depth * (1 + 0.25 * contraction)
            middle = length + 0.5 * filled
            shape = ((t - middle) / (0.52 * filled)) ** 2
            shape = shape + ((x - place * self.radius) / (0.85 * self.radius)) ** 2 + (y / (0.95 * self.radius)) ** 2
            found[~below & (shape <= 1)] = label
        found[outer] = MYOCARDIUM
        found[inner] = LV
        return found

    def signal(self, points: np.ndarray, labels: np.ndarray, contraction: float, still: np.ndarray) -> np.ndarray:
        """Of each point, the chest's being `still`; papillary muscles are dark though they belong to the cavity."""
        levels = np.array([0.0, self.blood, 0.33, 0.95 * self.blood, 0.93 * self.blood, 0.9 * self.blood], np.float32)
        signal = np.where(labels > 0, levels[labels], still)
        t, x, y = self._coordinates(points)
        length = self.length * (1 - self.shortening * contraction)
        middle = (t > 0.3 * length) & (t < 0.75 * length) & (labels == LV)
        for angle in self.papillary:
            reach = 0.72 * self.radius * (1 - self.narrowing * contraction)
            near = np.hypot(x - reach * np.cos(angle), y - reach * np.sin(angle)) < 0.17 * self.radius
            signal[middle & near] = 0.35
        return np.asarray(signal)

    def _coordinates(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Height above the apex, and the place across: towards the right ventricle, and along the septum."""
        t = self.length - points @ self.axis
        return t, points @ self.side, points @ self.third

    def _radius(self, angle: np.ndarray, contraction: float) -> np.ndarray:
        place, width, lost = self.sluggish
        off = np.angle(np.exp(1j * (angle - place)))
        return np.asarray(self.radius * (1 - self.narrowing * contraction * (1 - lost * np.exp(-((off / width) ** 2)))))


def _dome(share: np.ndarray) -> np.ndarray:
    """Radius of half an ellipsoid at a share of its height from its tip, 0 below the tip."""
    return np.asarray(np.sqrt(np.clip(1 - (1 - np.clip(share, 0, 1)) ** 2, 0, 1)))


def draw_heart(rng: np.random.Generator) -> Heart:
    """A heart as patients differ: size, tilt, wall, ejection fraction, regional motion."""
    uniform = rng.uniform
    axis = np.array([0.62, -0.52, -0.55]) + rng.normal(0, 0.08, 3)
    axis /= np.linalg.norm(axis)
    side = np.array([-0.75, -0.6, 0.1]) + rng.normal(0, 0.08, 3)
    side -= (side @ axis) * axis
    strength, length = uniform(0.25, 1.0), uniform(72, 100)
    return Heart(
        axis=axis,
        side=side / np.linalg.norm(side),
        length=length,
        radius=length * uniform(0.24, 0.34),
        wall=uniform(7, 14),
        shortening=0.05 + 0.14 * strength,
        narrowing=0.08 + 0.32 * strength,
        sluggish=(uniform(-np.pi, np.pi), uniform(0.4, 1.0), uniform(0, 0.9) * (uniform() < 0.4)),
        right=(uniform(1.1, 1.5), uniform(1.15, 1.45), uniform(0.78, 0.92)),
        atria=(uniform(38, 62), uniform(38, 58)),
        blood=uniform(0.85, 1.1),
        papillary=(uniform(1.2, 2.2), uniform(-2.2, -1.2)),
    )


@dataclass(frozen=True)
class Chest:
    """What lies around a heart.

    Attributes:
        size: half width and half depth of the chest, mm.
        centre: of the chest.
        fat: thickness of the fat under the skin, mm.
        diaphragm: its height.
    """

    size: tuple[float, float]
    centre: tuple[float, float, float]
    fat: float
    diaphragm: float

    def signal(self, points: np.ndarray) -> np.ndarray:
        """Of each point `(..., 3)`, float32."""
        x, y, z = (points[..., axis] - self.centre[axis] for axis in range(3))
        wide, deep = self.size
        skin = np.sqrt((x / wide) ** 2 + (y / deep) ** 2)
        signal = np.full(x.shape, _SIGNAL["air"], np.float32)
        signal[skin <= 1] = _SIGNAL["fat"]
        signal[skin <= 1 - self.fat / deep] = _SIGNAL["muscle"]
        dome = self.diaphragm - 0.0022 * (x**2 + y**2)
        inside = skin <= 0.86 - self.fat / deep
        signal[inside & (z < dome) & (x < 40)] = _SIGNAL["liver"]
        signal[inside & (z < dome) & (x >= 40)] = 0.6
        lungs = inside & (z >= dome) & (np.abs(x) > 0.16 * wide)
        signal[lungs] = _SIGNAL["lung"]
        vessels = (np.sin(x / 9) * np.sin(y / 8 + 1) * np.sin(z / 10)) > 0.82
        signal[lungs & vessels] = 0.6
        signal[np.hypot(x, y - 0.62 * deep) < 17] = _SIGNAL["bone"]
        signal[np.hypot(x - 24, y - 0.45 * deep) < 10] = _SIGNAL["blood"]
        return signal


def draw_chest(rng: np.random.Generator) -> Chest:
    """A chest as patients differ."""
    uniform = rng.uniform
    centre = (uniform(-45, -25), uniform(10, 30), uniform(-10, 10))
    return Chest((uniform(150, 190), uniform(100, 130)), centre, uniform(8, 28), uniform(-75, -55))
