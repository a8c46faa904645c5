"""A beating heart in three dimensions.

Points are in mm along DICOM's axes: x to the patient's left, y to the back, z to the head; the origin is the middle of
the left ventricle's base at end-diastole. The left ventricle's cavity is half an ellipsoid of revolution, so its volume
is known in closed form where its wall moves evenly. The apex stays, the base moves towards it, and the myocardium,
which cannot be compressed, thickens as the cavity empties.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trainables.phantom.anatomy.chest import FAT, MUSCLE

STRUCTURES = ("background", "lv", "myocardium", "rv", "la", "ra")
LV, MYOCARDIUM, RV, LA, RA = range(1, 6)
_MYOCARDIUM_SIGNAL, _TRABECULA = 0.23, 0.42
_RIGHT_WALL, _ATRIAL_WALL, _LEAFLET = 3.5, 2.0, 2.0  # mm
_AORTA = (12.0, 0.35, -0.5)  # radius in mm; its root across the base, shares of the left ventricle's radius


@dataclass(frozen=True)
class Spots:
    """Points in the heart's coordinates, each `(n,)` float32.

    Attributes:
        t: height above the apex in mm.
        x: offset across the long axis towards the right ventricle in mm.
        y: offset along the septum towards the diaphragm in mm.
        angle: angle about the long axis from x to y in radians.
        motion: wall motion at the point as a fraction of the heart's.
        away: distance from the long axis in mm.
        z: height in the body in mm.
    """

    t: np.ndarray
    x: np.ndarray
    y: np.ndarray
    angle: np.ndarray
    motion: np.ndarray
    away: np.ndarray
    z: np.ndarray


@dataclass(frozen=True)
class Heart:
    """Three-dimensional heart of one patient.

    Attributes:
        axis: unit vector from the base to the apex.
        side: unit vector across it, from the left ventricle towards the right one.
        length: length of the left ventricle's cavity at end-diastole in mm.
        radius: radius of the cavity's base at end-diastole in mm.
        wall: thickness of the myocardium at the base at end-diastole, mm; 0.6 of it at the apex.
        shortening: fraction by which the length shrinks at end-systole.
        narrowing: fraction by which the radius shrinks at end-systole.
        sluggish: a part of the wall that moves less: (angle about the axis, its width in radians, share lost).
        right: the right ventricle's depth from the septum in mm, its half height along the septum as share of the left
            ventricle's outer radius, and its length as share of the left's.
        atria: depth of the left and of the right atrium at end-diastole, mm.
        fat: thickness of the fat around the heart, mm.
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
    fat: float
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

    def volume(self, contraction: float) -> float:
        """Return the left ventricle's cavity volume in mL at a `contraction` in [0, 1], by integration."""
        return 2 / 3 * np.pi * self._square(contraction) * self._length(contraction) / 1000

    def thickness(self, contraction: float) -> float:
        """Return the myocardial thickness at the base in mm that keeps the wall's volume constant."""
        length, square, radius = (f(contraction) for f in (self._length, self._square, self._mean))
        rest = (self._mean(0.0) * 2 + self.wall) * self.wall + self._square(0.0)
        muscle = rest * (self.length + 0.6 * self.wall) - self._square(0.0) * self.length
        wall = self.wall
        for _ in range(6):  # Newton's steps; the volume grows with the wall and its slope too
            outer = square + 2 * radius * wall + wall**2
            excess = outer * (length + 0.6 * wall) - square * length - muscle
            wall -= excess / (2 * (radius + wall) * (length + 0.6 * wall) + 0.6 * outer)
        return wall

    def locate(self, points: np.ndarray) -> Spots:
        """Return points `(n, 3)` in the heart's coordinates."""
        places = points @ np.stack([self.axis, self.side, self.third], axis=1)
        t, x, y = (np.ascontiguousarray(column, np.float32) for column in places.T)
        t = np.float32(self.length) - t
        angle = np.arctan2(y, x)
        return Spots(t, x, y, angle, self._motion(angle), np.hypot(x, y), points[:, 2].astype(np.float32))

    def near(self, points: np.ndarray) -> np.ndarray:
        """Return a mask of the points `(..., 3)` that the heart with its fat can reach in any frame."""
        reach = max(self.length, 2 * self.radius + self.right[0]) / 2 + max(self.atria) / 2 + self.wall + 25
        off = points - self.axis * (self.length - max(self.atria)) / 2 - self.side * self.right[0] / 2
        return np.asarray(np.einsum("...i,...i", off, off) < reach**2)

    def labels(self, points: np.ndarray, contraction: float) -> np.ndarray:
        """Return the structure of each point `(..., 3)` as uint8 indices into STRUCTURES."""
        spots = self.locate(points.reshape(-1, 3))
        return self.seen(spots, contraction, np.zeros(len(spots.t), np.float32))[0].reshape(points.shape[:-1])

    def seen(self, spots: Spots, contraction: float, still: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return structure (uint8) and signal (float32) of each spot `(n,)`; `still` is the body's signal."""
        t, x, y = spots.t, spots.x, spots.y
        length, wall = self._length(contraction), self.thickness(contraction)
        radius = np.float32(self.radius) * (1 - np.float32(self.narrowing * contraction) * spots.motion)
        below = t <= length
        inner = below & (spots.away <= radius * _dome(t / length))
        tip = length + 0.6 * wall
        shell = (radius + wall) * _dome((t + 0.6 * wall) / tip)
        covered = (radius + wall + self.fat) * _dome((t + 0.6 * wall + self.fat) / (tip + self.fat))
        right, right_wall, right_fat = self._right_ventricle(spots, contraction)

        labels, signal = np.zeros(t.shape, np.uint8), still.copy()
        below_groove = t <= length + 0.5 * self.fat
        signal[below_groove & ((right_fat <= 1) | (spots.away <= covered))] = FAT
        signal[below & (right_wall <= 1)] = MUSCLE
        self._add_atria(spots, contraction, labels, signal)
        chamber = below & (right <= 1)
        labels[chamber], signal[chamber] = RV, 0.95 * self.blood
        outer = below & (spots.away <= shell)
        labels[outer], signal[outer] = MYOCARDIUM, _MYOCARDIUM_SIGNAL
        labels[inner], signal[inner] = LV, self.blood
        rough = inner & (spots.away > radius * (_dome(t / length) - 0.13)) & (t < 0.75 * length)
        signal[rough & (np.sin(7 * spots.angle + t / 6) > 0.45)] = _TRABECULA
        middle = inner & (t > 0.3 * length) & (t < 0.72 * length)
        for angle in self.papillary:
            reach = 0.66 * self._mean(contraction)
            off = np.hypot(x - reach * np.cos(angle), y - reach * np.sin(angle))
            signal[middle & (off < 0.19 * self.radius)] = _MYOCARDIUM_SIGNAL  # dark though they belong to the cavity
        signal[(inner | (labels == RV)) & (t > length - _LEAFLET)] *= 0.5  # the valves
        return labels, signal

    def _right_ventricle(self, spots: Spots, contraction: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return levels of the right ventricle's cavity, wall and fat, up to 1 inside: a crescent on the septum.

        Its free wall moves towards the septum; its lower corner is sharper than its upper one.
        """
        depth, height, reach = self.right
        length = self._length(contraction)
        bulge = _dome((spots.t - (1 - reach) * length) / (reach * length))
        outer = self.radius + self.wall
        free = (outer + depth * (1 - 0.42 * contraction)) * bulge
        middle, hidden = 0.4 * outer * bulge, 0.5 * outer * bulge  # the left ventricle covers what is behind the septum
        high = height * outer * (1 - 0.1 * contraction) * bulge
        across = spots.x - middle + 0.25 * spots.y * (spots.y > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            levels = [
                np.square(across / (np.where(across > 0, free - middle, hidden) + extra))
                + np.square(spots.y / (high + extra))
                for extra in (0.0, _RIGHT_WALL, _RIGHT_WALL + self.fat)
            ]
        outside = bulge <= 0
        for level in levels:
            level[outside] = np.inf
        return levels[0], levels[1], levels[2]

    def _add_atria(self, spots: Spots, contraction: float, labels: np.ndarray, signal: np.ndarray) -> None:
        """Return the atria and the aorta: the atria fill as the base moves away from their roofs."""
        t, x, y = spots.t, spots.x, spots.y
        length, outer = self._length(contraction), self.radius + self.wall
        above = t > length
        rise = t - length
        radius, root_x, root_y = _AORTA
        for label, depth, middle, half, dim in (
            (LA, self.atria[0], -0.05 * self.radius, 0.95 * self.radius, 0.9),
            (RA, self.atria[1], outer + 0.4 * self.right[0], 0.6 * self.right[0] + 0.15 * outer, 0.93),
        ):
            filled = depth + self.length - length
            along = np.square((rise - 0.42 * filled) / (0.58 * filled))
            tall = half * (1.1 if label == LA else 1.3)
            for extra, chamber in ((_ATRIAL_WALL, False), (0.0, True)):
                across = np.square((x - middle) / (half + extra)) + np.square((y - 0.25 * self.radius) / (tall + extra))
                within = above & (along + across <= 1)
                if chamber:
                    within &= (x - (outer - 2) if label == RA else outer - 4 - x) > 0
                    labels[within], signal[within] = label, dim * self.blood
                else:
                    signal[within] = MUSCLE
        off = np.hypot(x - root_x * self.radius - 0.3 * rise, y - root_y * self.radius + 0.75 * rise)
        tube = above & (off <= radius + 2) & (spots.z < 55)
        labels[tube], signal[tube] = 0, MUSCLE
        signal[tube & (off <= radius)] = self.blood

    def _length(self, contraction: float) -> float:
        return self.length * (1 - self.shortening * contraction)

    def _motion(self, angle: np.ndarray) -> np.ndarray:
        """Return the wall motion at angles about the axis as fractions of the heart's, float32."""
        place, width, lost = self.sluggish
        off = (angle - np.float32(place - np.pi)) % np.float32(2 * np.pi) - np.float32(np.pi)
        return np.asarray(1 - np.float32(lost) * np.exp(-np.square(off / np.float32(width))), np.float32)

    @cached_property
    def _motions(self) -> tuple[float, float]:
        """Return the mean wall motion around the axis, and the mean of its square."""
        motion = self._motion((np.arange(400) + 0.5) / 400 * 2 * np.pi).astype(np.float64)
        return float(motion.mean()), float(np.square(motion).mean())

    def _mean(self, contraction: float) -> float:
        """Return the radius of the base, averaged around the axis."""
        return self.radius * (1 - self.narrowing * contraction * self._motions[0])

    def _square(self, contraction: float) -> float:
        """Return the squared radius of the base, averaged around the axis."""
        inward = self.narrowing * contraction
        return self.radius**2 * (1 - 2 * inward * self._motions[0] + inward**2 * self._motions[1])


def _dome(share: np.ndarray) -> np.ndarray:
    """Return the radius of half an ellipsoid at a fraction of its height from the tip, 0 below the tip."""
    return np.asarray(np.sqrt(1 - np.square(1 - np.clip(share, 0, 1))))


def draw_heart(rng: np.random.Generator) -> Heart:
    """Draw the heart of a random patient: size, tilt, wall, ejection fraction, regional motion."""
    uniform = rng.uniform
    axis = np.array([0.62, -0.52, -0.55]) + rng.normal(0, 0.08, 3)
    axis /= np.linalg.norm(axis)
    side = np.array([-0.75, -0.6, 0.1]) + rng.normal(0, 0.08, 3)
    side -= (side @ axis) * axis
    strength, length = uniform(0.25, 1.0), uniform(74, 100)
    return Heart(
        axis=axis,
        side=side / np.linalg.norm(side),
        length=length,
        radius=length * uniform(0.25, 0.34),
        wall=uniform(7, 13),
        shortening=0.05 + 0.14 * strength,
        narrowing=0.08 + 0.32 * strength,
        sluggish=(uniform(-np.pi, np.pi), uniform(0.4, 1.0), uniform(0, 0.9) * (uniform() < 0.4)),
        right=(uniform(28, 42), uniform(1.05, 1.3), uniform(0.82, 0.95)),
        atria=(uniform(40, 60), uniform(40, 55)),
        fat=uniform(1.5, 7),
        blood=uniform(0.75, 0.95),
        papillary=(uniform(1.2, 2.2) + np.pi / 6, uniform(-2.2, -1.2) - np.pi / 6),
    )
