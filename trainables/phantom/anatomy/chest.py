"""Anatomy around the heart: chest wall with ribs, lungs, mediastinum, liver, stomach and spleen.

Points as in `heart`. Signals are those of a balanced steady-state cine, 1 for the brightest blood; fat's has the other
sign, because at its echo time fat is opposed to water, so that where the two meet in a voxel they cancel to the black
line that such images show (Huang et al., Magnetic Resonance in Medicine 51 (2004) 243).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FAT, MUSCLE = -0.8, 0.2
_LUNG, _LIVER, _SPLEEN, _BONE, _GAS, _VESSEL, _BLOOD = 0.04, 0.3, 0.42, 0.3, 0.02, 0.55, 0.85


@dataclass(frozen=True)
class Chest:
    """One patient's chest.

    Attributes:
        size: half width and half depth of the chest, mm.
        centre: centre of the chest in mm.
        fat: thickness of the fat under the skin, mm.
        diaphragm: height of the left dome's top; the right one's lies 12 mm higher.
        waves: wave vectors `(n, 3)` in radians per mm, whose sum places vessels and lobules.
        phases: phases of the waves `(n,)` in radians.
    """

    size: tuple[float, float]
    centre: tuple[float, float, float]
    fat: float
    diaphragm: float
    waves: np.ndarray
    phases: np.ndarray

    def signal(self, points: np.ndarray) -> np.ndarray:
        """Return the MR signal at points `(..., 3)`, float32."""
        x, y, z = ((points[..., axis] - self.centre[axis]).astype(np.float32) for axis in range(3))
        pattern = self._pattern(points)
        wide, deep = self.size
        skin = np.sqrt(np.sqrt((x / wide) ** 4 + (y / deep) ** 4) * 0.5 + ((x / wide) ** 2 + (y / deep) ** 2) * 0.5)
        depth = (1 - skin) * deep
        signal = np.zeros(x.shape, np.float32)
        signal[depth > 0] = FAT
        wall = depth > self.fat
        signal[wall] = np.where(pattern > 1.1, FAT, MUSCLE)[wall]
        ribs = wall & (depth > self.fat + 6) & (np.sin(z / 5.5 + y / 22) > 0.3)
        signal[ribs] = _BONE
        inside = depth > self.fat + 17
        middle = 0.16 * wide * (1 + 0.5 * y / deep)
        signal[inside] = np.where(pattern > 1.7, _VESSEL, _LUNG)[inside]
        mediastinum = inside & (np.abs(x + 6) < middle)
        signal[mediastinum] = np.where(np.abs(pattern) > 1.3, _VESSEL, FAT)[mediastinum]
        self._add_abdomen(signal, inside, pattern, x, y, z)
        self._add_back(signal, x, y)
        return signal

    def _add_abdomen(
        self, signal: np.ndarray, inside: np.ndarray, pattern: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray
    ) -> None:
        half = 0.5 * self.size[0]
        right = self.diaphragm + 12 - 0.0035 * ((x + half) ** 2 + y**2)
        left = self.diaphragm - 0.0035 * ((x - half) ** 2 + y**2)
        dome = np.maximum(right, left)
        below = inside & (z < dome)
        signal[inside & (z < dome + 3)] = MUSCLE  # the diaphragm
        signal[below] = FAT
        liver = below & (x + 0.3 * y < 0.95 * half) & (z < dome - 1)
        signal[liver] = np.where(pattern > 1.5, _VESSEL, _LIVER)[liver]
        spleen = below & ((x - 1.35 * half) ** 2 + (y - 0.3 * half) ** 2 < (0.5 * half) ** 2)
        signal[spleen] = _SPLEEN
        stomach = below & ~liver & ((x - 1.2 * half) ** 2 + (y + 0.3 * half) ** 2 < (0.35 * half) ** 2)
        signal[stomach] = np.where(y < -0.45 * half, _GAS, 0.5)[stomach]

    def _add_back(self, signal: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
        """Add the spine with its cord, adjacent muscles, the descending aorta and the oesophagus."""
        spine = 0.56 * self.size[1]
        beside = (np.abs(np.abs(x) - 32) < 22) & (np.abs(y - spine - 24) < 20)
        signal[beside] = MUSCLE
        away = np.hypot(x, (y - spine) * 1.15)
        signal[away < 22] = MUSCLE
        signal[away < 19] = _BONE
        signal[np.hypot(x, y - spine - 24) < 8] = 0.9
        for place, back, radius, inner in ((27, spine - 20, 12, _BLOOD), (10, spine - 30, 7, 0.3)):
            off = np.hypot(x - place, y - back)
            signal[off < radius + 2] = MUSCLE
            signal[off < radius] = inner

    def _pattern(self, points: np.ndarray) -> np.ndarray:
        """Return an irregular field with mean 0 and standard deviation 1."""
        turns = points.astype(np.float32) @ self.waves.T.astype(np.float32) + self.phases.astype(np.float32)
        return np.asarray(np.cos(turns).sum(axis=-1) * np.float32(np.sqrt(2 / len(self.phases))))


def draw_chest(rng: np.random.Generator) -> Chest:
    """Draw the chest of a random patient."""
    uniform = rng.uniform
    waves = rng.normal(size=(7, 3))
    waves *= (2 * np.pi / uniform(22, 50, 7) / np.linalg.norm(waves, axis=1))[:, None]
    centre = (uniform(-42, -28), uniform(12, 26), uniform(-6, 6))
    return Chest(
        size=(uniform(150, 185), uniform(105, 125)),
        centre=centre,
        fat=uniform(6, 20),
        diaphragm=uniform(-52, -38),
        waves=waves,
        phases=uniform(0, 2 * np.pi, 7),
    )
