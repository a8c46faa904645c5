"""A beating heart in an apical view: outlines of its chambers over one to one and a half beats.

Lengths are shares of the image's side. The left ventricle has its own coordinates: `s` runs along the long axis from
the apex (0) to the middle of the mitral valve (1), `u` across it, positive to the image's right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_OUTLINE = np.concatenate([np.linspace(0, 1, 18) ** 2 * 0.3, np.linspace(0.3, 1, 25)[1:]])
SIMPSON_DISCS = 20


@dataclass(frozen=True)
class Heart:
    """Two-dimensional heart of one patient in one view; lengths are fractions of the image's side.

    Attributes:
        view: "4CH" with a right heart, or "2CH" without one.
        apex: position (x, y) of the endocardial apex.
        tilt: angle of the long axis from vertical in radians, positive towards the image's right.
        length: length of the long axis at end-diastole.
        width: largest half width at end-diastole.
        sharpness: exponent of the apical cap; 2 is an ellipse, higher is blunter.
        taper: fraction by which the base is narrower than the widest place.
        bend: lateral bow of the long axis as a fraction of the length.
        bumps: papillary muscles, each (side -1 | 1, s, height as a fraction of the width, extent in s).
        wall: thickness of the myocardium at end-diastole.
        shortening: fraction by which the long axis shrinks at end-systole.
        narrowing: fraction by which the widths shrink at end-systole.
        sluggish: wall region with reduced motion: (side, s, extent in s, fraction of the motion lost).
        atrium: (depth, half width) of the left atrium at end-systole.
        right: (half width of the right ventricle, its upper end in s, half width of the right atrium).
        contraction: contraction by frame `(T,)`, 0 at end-diastole and 1 at end-systole.
        sway: translation of the heart by frame `(T, 2)`, x and y.
    """

    view: str
    apex: tuple[float, float]
    tilt: float
    length: float
    width: float
    sharpness: float
    taper: float
    bend: float
    bumps: tuple[tuple[int, float, float, float], ...]
    wall: float
    shortening: float
    narrowing: float
    sluggish: tuple[int, float, float, float]
    atrium: tuple[float, float]
    right: tuple[float, float, float]
    contraction: np.ndarray
    sway: np.ndarray

    def lengths(self) -> np.ndarray:
        """Length of the long axis by frame `(T,)`."""
        return np.asarray(self.length * (1 - self.shortening * self.contraction))

    def walls(self) -> np.ndarray:
        """Thickness of the myocardium by frame `(T,)`; it grows as the cavity empties."""
        return np.asarray(self.wall * (1 + 0.9 * self.narrowing * self.contraction))

    def half_width(self, s: np.ndarray, side: int, frame: int) -> np.ndarray:
        """Return the distance of the endocardium from the long axis at `s` in [0, 1], on side -1 or 1."""
        s = np.clip(s, 0, 1)
        squeeze = self.contraction[frame]
        cap = np.sqrt(1 - (1 - s) ** (self.sharpness - 0.3 * squeeze))
        width = self.width * cap * (1 - (self.taper + 0.08 * squeeze) * s**3)
        lazy_side, place, extent, lost = self.sluggish
        lag = lost * np.exp(-(((s - place) / extent) ** 2)) if side == lazy_side else 0.0
        width = width * (1 - self.narrowing * squeeze * (1 - lag))
        for bump_side, place, height, extent in self.bumps:
            if bump_side == side:
                width = width * (1 - height * (1 + squeeze) * np.exp(-(((s - place) / extent) ** 2)))
        return np.asarray(width)

    def middle(self, s: np.ndarray) -> np.ndarray:
        """Return the lateral offset of the bowed long axis at `s`."""
        return np.asarray(self.bend * self.length * 4 * s * (1 - s))

    def place(self, u: np.ndarray, along: np.ndarray, frame: int) -> np.ndarray:
        """Convert heart coordinates (both lengths) to image coordinates `(..., 2)`."""
        sin, cos = np.sin(self.tilt), np.cos(self.tilt)
        x = self.apex[0] + self.sway[frame, 0] + u * cos + along * sin
        y = self.apex[1] + self.sway[frame, 1] - u * sin + along * cos
        return np.stack([x, y], axis=-1)

    def chords(self, s: np.ndarray, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the left and right ends of the left ventricle's chords at `s`, each `(len(s), 2)`."""
        along, middle = s * self.lengths()[frame], self.middle(s)
        left = self.place(middle - self.half_width(s, -1, frame), along, frame)
        return left, self.place(middle + self.half_width(s, 1, frame), along, frame)

    def volume(self, frame: int) -> float:
        """Return the left ventricle's volume by Simpson's discs from this view, in cubes of the image's side."""
        s = (np.arange(SIMPSON_DISCS) + 0.5) / SIMPSON_DISCS
        diameter = self.half_width(s, -1, frame) + self.half_width(s, 1, frame)
        return float(np.pi / 4 * np.square(diameter).sum() * self.lengths()[frame] / SIMPSON_DISCS)

    def left_ventricle(self, frame: int) -> np.ndarray:
        """Return the endocardial outline `(points, 2)`, closed across the mitral valve."""
        left, right = self.chords(_OUTLINE, frame)
        return np.concatenate([left, right[::-1]])

    def epicardium(self, frame: int) -> np.ndarray:
        """Return the outer outline of the myocardium `(points, 2)`, open at the base."""
        length, wall = self.lengths()[frame], self.walls()[frame]
        along = -0.8 * wall + _OUTLINE * (length + 0.8 * wall)
        s = np.clip(along / length, 0, 1)
        rise = np.sqrt(1 - (1 - np.clip((along + 0.8 * wall) / (0.5 * length), 0, 1)) ** 2.2)
        middle = self.middle(s)
        left = self.place(middle - (self.half_width(s, -1, frame) * (along > 0) + wall) * rise, along, frame)
        right = self.place(middle + (self.half_width(s, 1, frame) * (along > 0) + wall) * rise, along, frame)
        return np.concatenate([left, right[::-1]])

    def left_atrium(self, frame: int) -> np.ndarray:
        """Return the outline of the left atrium `(points, 2)`; its roof is fixed, so it fills in systole."""
        top = self.lengths()[frame]
        bottom = self.length * (1 - self.shortening) + self.atrium[0]
        share = 1 - 0.25 * (1 - self.contraction[frame])
        mouth = np.array([self.half_width(np.ones(1), side, frame)[0] for side in (-1, 1)]) * 0.95
        return self._pouch(frame, top, bottom, mouth=mouth, half=self.atrium[1] * share, centre=0.0)

    def right_ventricle(self, frame: int) -> np.ndarray:
        """Return the outline of the right ventricle `(points, 2)`, a wedge at the septum."""
        half, upper, _ = self.right
        length, squeeze = self.lengths()[frame], self.contraction[frame]
        s = np.linspace(upper, 0.98, 20)
        q = (s - upper) / (0.98 - upper)
        septum = self.middle(s) - self.half_width(s, -1, frame) - self.walls()[frame] * 0.85
        width = 2 * half * (1 - 0.3 * squeeze) * np.sqrt(q) * (1 - 0.35 * q**3)
        inner = self.place(septum, s * length, frame)
        outer = self.place(septum - width, s * length * (1 - 0.04 * q), frame)
        return np.concatenate([inner, outer[::-1]])

    def right_atrium(self, frame: int) -> np.ndarray:
        """Return the outline of the right atrium `(points, 2)`, below the right ventricle."""
        half, _, atrium = self.right
        top = self.lengths()[frame]
        bottom = self.length * (1 - self.shortening) + 0.85 * self.atrium[0]
        septum = -self.half_width(np.ones(1), -1, frame)[0] - self.walls()[frame] * 0.7
        mouth = np.full(2, half * 0.8)
        return self._pouch(frame, top, bottom, mouth=mouth, half=atrium, centre=septum - max(half, atrium))

    def _pouch(
        self, frame: int, top: float, bottom: float, *, mouth: np.ndarray, half: float, centre: float
    ) -> np.ndarray:
        q = np.linspace(0, 1, 20)
        belly = np.sqrt(np.clip(1 - ((q - 0.45) / 0.55) ** 2, 0, 1))
        blend = np.exp(-((q / 0.18) ** 2))
        along = top + q * (bottom - top)
        left = self.place(centre - (blend * mouth[0] + (1 - blend) * half * belly), along, frame)
        right = self.place(centre + (blend * mouth[1] + (1 - blend) * half * belly), along, frame)
        return np.concatenate([left, right[::-1]])

    def leaflets(self, frame: int) -> list[np.ndarray]:
        """Return both mitral leaflets as lines `(points, 2)`, closed in systole and open in diastole."""
        length, squeeze = self.lengths()[frame], self.contraction[frame]
        opening = 1 - min(1.0, squeeze / 0.35)
        lines = []
        for side, share in ((-1, 1.15), (1, 0.85)):
            hinge = side * self.half_width(np.ones(1), side, frame)[0]
            reach = abs(hinge) * share
            angle = np.deg2rad(8 + 62 * opening)
            q = np.linspace(0, 1, 6)
            u = hinge - side * reach * q * np.cos(angle * (0.6 + 0.4 * q))
            along = length - reach * q * np.sin(angle * (0.6 + 0.4 * q))
            lines.append(self.place(u, along, frame))
        return lines

    def covers(self, x: np.ndarray, y: np.ndarray, frame: int) -> np.ndarray:
        """Return a mask of the image points (in fractions of its side) inside the left ventricle."""
        sin, cos = np.sin(self.tilt), np.cos(self.tilt)
        dx, dy = x - self.apex[0] - self.sway[frame, 0], y - self.apex[1] - self.sway[frame, 1]
        u, s = dx * cos - dy * sin, (dx * sin + dy * cos) / self.lengths()[frame]
        u = u - self.middle(s)
        within = (-self.half_width(s, -1, frame) <= u) & (u <= self.half_width(s, 1, frame))
        return np.asarray((s >= 0) & (s <= 1) & within)


def beat(frames: int, beats: float, start: float, systole: float) -> np.ndarray:
    """Return the contraction `(frames,)` over `beats` heartbeats: systole, early filling, diastasis, atrial kick."""
    phase = (start + np.arange(frames) / frames * beats) % 1.0
    squeezing = 0.5 - 0.5 * np.cos(np.pi * np.clip(phase / systole, 0, 1))
    q = np.clip((phase - systole) / (1 - systole), 0, 1)
    early = 0.5 - 0.5 * np.cos(np.pi * np.clip(q / 0.45, 0, 1))
    late = 0.5 - 0.5 * np.cos(np.pi * np.clip((q - 0.75) / 0.25, 0, 1))
    return np.where(phase < systole, squeezing, 1 - 0.8 * early - 0.2 * late)


def draw_heart(rng: np.random.Generator, frames: int, view: str = "4CH") -> Heart:
    """Draw the heart of a random patient: size, shape, wall, position, ejection fraction, regional motion."""
    uniform = rng.uniform
    beats = uniform(1.05, 1.5)
    contraction = beat(frames, beats, uniform(0, 1), uniform(0.33, 0.45))
    tilt = np.deg2rad(np.clip(rng.normal(2, 5.5), -14, 18))
    length, strength = np.clip(rng.normal(0.44, 0.075), 0.3, 0.62), uniform(0.15, 1.0)
    time = np.arange(frames) / frames
    sway = np.stack([uniform(0, 0.014) * np.sin(2 * np.pi * (time * uniform(0.3, 1) + uniform(0, 1))) for _ in "xy"], 1)
    side = int(rng.choice([-1, 1]))
    return Heart(
        view=view,
        apex=(0.535 + rng.normal(0, 0.032) - 0.5 * length * np.sin(tilt), np.clip(rng.normal(0.175, 0.04), 0.06, 0.28)),
        tilt=float(tilt),
        length=length,
        width=length * uniform(0.22, 0.4),
        sharpness=uniform(1.9, 3.6),
        taper=uniform(0.05, 0.38),
        bend=rng.normal(0, 0.025),
        bumps=tuple(
            (bump_side, uniform(0.4, 0.65), uniform(0.0, 0.12), uniform(0.07, 0.14)) for bump_side in (-1, 1, side)
        ),
        wall=uniform(0.05, 0.095),
        shortening=0.05 + 0.15 * strength,
        narrowing=0.06 + 0.32 * strength,
        sluggish=(side, uniform(0.2, 0.9), uniform(0.15, 0.4), uniform(0, 0.9) * (uniform() < 0.4)),
        atrium=(uniform(0.16, 0.32), uniform(0.10, 0.20)),
        right=(uniform(0.06, 0.13), uniform(0.2, 0.5), uniform(0.08, 0.16)),
        contraction=contraction,
        sway=sway,
    )
