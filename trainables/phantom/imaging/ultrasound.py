"""Ultrasound image formation: sector, speckle, attenuation, shadows, haze and machine settings.

Speckle is the magnitude of a complex Gaussian field, correlated along and across the beam (wider with depth, as a
sector scan has it), so it is Rayleigh distributed where tissue is uniform. The part from tissue is carried along by the
heart's motion; clutter stays with the probe; noise is new in each frame. Their fields add before log compression.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from trainables.phantom.anatomy.shapes import Heart

_LOOKS = 2  # independent speckle patterns averaged, as compounding scanners do


@dataclass(frozen=True)
class Scanner:
    """Probe position, settings and artefacts of one examination; levels are in dB relative to myocardium.

    Attributes:
        probe: position (x, y) of the sector's tip in fractions of the image's side.
        angles: angles of the sector's left and right edge from vertical in radians.
        reach: depth of the sector's end.
        near: depth at which the image begins.
        grain: speckle correlation (along, across) the beam: fraction of the side, and radians.
        gain: overall gain added to every level.
        dynamic_range: level difference between black and white.
        gamma: exponent of the grey curve.
        blur: blur of the final image as a fraction of the side.
        blood: levels inside the left ventricle and inside the other chambers.
        border: width of the transition from blood to tissue as a fraction of the side.
        surround: level of the tissue around the heart.
        patchiness: standard deviation of the tissue's level from place to place.
        pericardium: level of the bright layer outside the free wall.
        valve: level of leaflets and annulus.
        specular: gain of a surface across the beam over one along it.
        noise: level of thermal noise, at the far end.
        haze: (level at the probe, decay length) of near-field clutter.
        cloud: (x, y, radius, level) of clutter inside the heart.
        shadows: acoustic shadows, each (angle, half width, start depth, loss in dB).
        depth_curve: gain at five equally spaced depths.
        angle_curve: gain at five equally spaced angles.
        persistence: fraction of the previous frame that persists.
    """

    probe: tuple[float, float]
    angles: tuple[float, float]
    reach: float
    near: float
    grain: tuple[float, float]
    gain: float
    dynamic_range: float
    gamma: float
    blur: float
    blood: tuple[float, float]
    border: float
    surround: float
    patchiness: float
    pericardium: float
    valve: float
    specular: float
    noise: float
    haze: tuple[float, float]
    cloud: tuple[float, float, float, float]
    shadows: tuple[tuple[float, float, float, float], ...]
    depth_curve: tuple[float, ...]
    angle_curve: tuple[float, ...]
    persistence: float


def draw_scanner(rng: np.random.Generator, heart: Heart) -> Scanner:
    """Draw a random examination: quality, settings and artefacts.

    The sector and the narrow ranges of gain and grain are those of one kind of machine, as in CAMUS, whose patients
    differ more in anatomy than in the look of their images (docs/RESULTS.md).
    """
    uniform = rng.uniform
    half = np.deg2rad(rng.normal(34.5, 0.4))
    shadows = tuple(
        (uniform(-0.95, 0.95) * half, np.deg2rad(uniform(2, 8)), uniform(0.0, 0.5), uniform(4, 14))
        for _ in range(rng.choice(4, p=[0.3, 0.4, 0.2, 0.1]))
    )
    centre = heart.place(np.zeros(1), np.array([uniform(0.0, 0.8) * heart.length]), 0)[0]
    return Scanner(
        probe=(0.5, 0.0),
        angles=(-half, half),
        reach=0.9,
        near=0.01,
        grain=(uniform(0.003, 0.005), np.deg2rad(uniform(0.4, 1.0))),
        gain=rng.normal(2, 3.5),
        dynamic_range=uniform(44, 54),
        gamma=uniform(1.1, 1.3),
        blur=uniform(0.003, 0.005),
        blood=(uniform(-34, -21), uniform(-30, -12)),
        border=uniform(0.012, 0.04),
        surround=uniform(-18, -6),
        patchiness=uniform(2.5, 4.5),
        pericardium=uniform(5, 10),
        valve=uniform(-4, 8),
        specular=uniform(13, 19),
        noise=uniform(-29, -21),
        haze=(uniform(-14, -2), uniform(0.06, 0.14)),
        cloud=(centre[0] + rng.normal(0, 0.06), centre[1], uniform(0.08, 0.2), uniform(-38, -24)),
        shadows=shadows,
        depth_curve=tuple(np.array([0, -3, -1, 1, 3]) + rng.normal(0, 1.8, 5)),
        angle_curve=tuple(rng.normal(0, 2, 5)),
        persistence=uniform(0, 0.4),
    )


def render(heart: Heart, scanner: Scanner, size: int, rng: np.random.Generator) -> np.ndarray:
    """Render the video, uint8 `(T, size, size)`."""
    beam = _Beam(scanner, size)
    frames = len(heart.contraction)
    tissue, fixed = (_speckle(scanner, beam, size, rng) for _ in range(2))
    gain, clutter, noise_level = _levels(scanner, beam, size)
    patches = scanner.patchiness * _patches(size, rng)
    reference = _Motion(heart, size)
    video = np.empty((frames, size, size), np.uint8)
    lingering: np.ndarray | None = None
    for frame in range(frames):
        x, y = reference.to_reference(frame)
        moving = cv2.remap(tissue, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        level = _reflectivity(heart, scanner, beam, frame, size)
        level += cv2.remap(patches, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT) + gain
        signal = moving * _amplitude(level)[..., None]
        signal += fixed * clutter[..., None]
        signal += _shuffled(fixed, rng) * noise_level[..., None]
        decibel = 10 * np.log10(np.square(signal).sum(axis=2) / _LOOKS + 1e-9)
        grey = np.clip((decibel + scanner.gain) / scanner.dynamic_range + 0.72, 0, 1) ** scanner.gamma
        grey = cv2.GaussianBlur(grey, (0, 0), max(scanner.blur * size, 0.4))
        if lingering is not None:
            grey += scanner.persistence * (lingering - grey)
        lingering = grey
        video[frame] = np.rint(grey * beam.inside * 255)
    return video


class _Beam:
    """Polar coordinates of every pixel as the probe sees it."""

    def __init__(self, scanner: Scanner, size: int) -> None:
        centre = ((np.arange(size) + 0.5) / size).astype(np.float32)
        dx, dy = np.meshgrid(centre - np.float32(scanner.probe[0]), centre - np.float32(scanner.probe[1]))
        self.depth, self.angle = np.hypot(dx, dy), np.arctan2(dx, dy)
        self.direction = np.stack([dx, dy], -1) / np.maximum(self.depth, 1e-6)[..., None]
        low, high = scanner.angles
        sector = (self.angle >= low) & (self.angle <= high) & (self.depth >= scanner.near)
        self.inside = (sector & (self.depth <= scanner.reach)).astype(np.float32)
        self.low, self.span = low, high - low


class _Motion:
    """Displacement of tissue from each pixel to the reference frame (end-diastole)."""

    def __init__(self, heart: Heart, size: int) -> None:
        self._heart, self._size = heart, size
        centre = (np.arange(size) + 0.5) / size
        self._x, self._y = np.meshgrid(centre, centre)
        self._sin, self._cos = np.sin(heart.tilt), np.cos(heart.tilt)
        self._places = np.linspace(0, 1, 129)
        self._rest = int(np.argmin(heart.contraction))
        self._widths = [self._table(frame) for frame in range(len(heart.contraction))]

    def _table(self, frame: int) -> np.ndarray:
        return np.stack([self._heart.half_width(self._places, side, frame) for side in (-1, 1)])

    def to_reference(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Return pixel maps (x, y) for `cv2.remap`, float32."""
        heart = self._heart
        dx, dy = self._x - heart.apex[0] - heart.sway[frame, 0], self._y - heart.apex[1] - heart.sway[frame, 1]
        u, along = dx * self._cos - dy * self._sin, dx * self._sin + dy * self._cos
        length, rest = heart.lengths()[frame], heart.lengths()[self._rest]
        place = np.rint(np.clip(along / length, 0, 1) * 128).astype(np.int64)
        side = (u > 0).astype(np.int64)
        width = self._widths[frame][side, place]
        inward = self._widths[self._rest][side, place] - width
        away = np.maximum(np.abs(u) - width - heart.wall, 0) + np.maximum(-along, 0)
        fade = np.exp(-away / 0.08) * np.minimum(np.abs(u) / np.maximum(width, 1e-3), 1)
        u_rest = u + np.sign(u) * inward * fade
        stretch = (rest - length) * np.clip(along / length, 0, 1) * np.exp(-np.maximum(along - length, 0) / 0.25)
        along_rest = along + stretch * np.exp(-away / 0.25)
        x = heart.apex[0] + u_rest * self._cos + along_rest * self._sin
        y = heart.apex[1] - u_rest * self._sin + along_rest * self._cos
        return (x * self._size - 0.5).astype(np.float32), (y * self._size - 0.5).astype(np.float32)


def _speckle(scanner: Scanner, beam: _Beam, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return complex Gaussian fields of unit power `(size, size, 2 looks)`, correlated along and across the beams."""
    rows, columns = size * 2, 160
    along, across = scanner.grain[0] / 1.1 * rows, scanner.grain[1] / beam.span * columns
    noise: np.ndarray = rng.standard_normal((rows, columns, 2 * _LOOKS), np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), sigmaX=max(across, 0.3), sigmaY=max(along, 0.3))
    noise = (noise / (np.sqrt(2) * noise.std())).astype(np.float32)
    x = ((beam.angle - beam.low) / beam.span * columns).astype(np.float32)
    y = (beam.depth / 1.1 * rows).astype(np.float32)
    return np.asarray(cv2.remap(noise, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))


def _patches(size: int, rng: np.random.Generator) -> np.ndarray:
    """Return a smooth random field of unit variance, coarse and fine, float32 `(size, size)`."""
    field: np.ndarray = np.zeros((size, size), np.float32)
    for knots in (7, 13, 26):
        coarse = rng.standard_normal((knots, knots), np.float32)
        field += cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.asarray(field / field.std())


def _shuffled(field: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the field shifted at random, which is cheaper than drawing a new one."""
    down, right = rng.integers(0, field.shape[0], 2)
    return np.roll(field[:, ::-1] if rng.random() < 0.5 else field, (down, right), axis=(0, 1))


def _levels(scanner: Scanner, beam: _Beam, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return tissue gain in dB, clutter amplitude and noise amplitude, each `(size, size)`."""
    gain = np.interp(beam.depth, np.linspace(0, 1, 5), scanner.depth_curve)
    gain += np.interp(beam.angle, np.linspace(beam.low, beam.low + beam.span, 5), scanner.angle_curve)
    shade = np.zeros((size, size))
    for angle, half, start, loss in scanner.shadows:
        depth = np.clip((beam.depth - start) / 0.08, 0, 1)
        shade -= loss * depth * np.exp(-(((beam.angle - angle) / half) ** 2))
    edge = np.minimum(beam.angle - beam.low, beam.low + beam.span - beam.angle)
    shade -= 6 * np.exp(-np.maximum(edge, 0) / 0.06)
    level, decay = scanner.haze
    near = _amplitude(level - 8.7 * beam.depth / decay)
    x, y, radius, cloud = scanner.cloud
    centre = (np.arange(size) + 0.5) / size
    blob = np.exp(-((centre[None, :] - x) ** 2 + ((centre[:, None] - y) / 1.4) ** 2) / (2 * radius**2))
    clutter = np.hypot(near, _amplitude(np.full((size, size), cloud)) * blob) * _amplitude(0.4 * shade)
    noise = _amplitude(scanner.noise - 12 + 12 * beam.depth)
    return (gain + shade).astype(np.float32), clutter.astype(np.float32), noise.astype(np.float32)


def _amplitude(decibel: np.ndarray) -> np.ndarray:
    return np.exp(decibel * np.float32(np.log(10) / 20))


def _reflectivity(heart: Heart, scanner: Scanner, beam: _Beam, frame: int, size: int) -> np.ndarray:
    """Return the echo level in dB before gains, float32 `(size, size)`."""
    cavity = _filled([heart.left_ventricle(frame)], size)
    inner = _distance(cavity)
    outer = _distance(_filled([heart.epicardium(frame)], size))
    pouches = [heart.left_atrium(frame)]
    if heart.view == "4CH":
        pouches += [heart.right_ventricle(frame), heart.right_atrium(frame)]
    others = _distance(_filled(pouches, size))
    pixel = np.float32(1 / size)

    level = np.full((size, size), scanner.surround, np.float32)
    wall = np.float32(0.028)
    level = _blend(level, np.float32(-3), others - wall, 3 * pixel)
    level = _blend(level, np.float32(0), outer, 3 * pixel)
    rim = np.exp(-np.square((outer - np.float32(0.012)) / np.float32(0.012)))
    level += scanner.pericardium * rim * (others > 0.02)
    across = _across(inner, beam)
    level += scanner.specular * (across - np.float32(0.6)) * (outer < 0.04)
    endocardium = np.exp(-np.square(inner / np.float32(0.012)))
    level += 4 * endocardium * across
    soft = np.float32(scanner.border)
    level = _blend(level, np.float32(scanner.blood[1]), others, soft)
    level = _blend(level, np.float32(scanner.blood[0]), inner, soft)
    lines = np.zeros((size, size), np.float32)
    for leaflet in heart.leaflets(frame):
        points = np.rint((leaflet * size - 0.5) * 16).astype(np.int32)
        cv2.polylines(lines, [points], False, 1.0, max(1, round(size * 0.018)), cv2.LINE_8, 4)
    lines = np.minimum(1.7 * cv2.GaussianBlur(lines, (0, 0), 0.008 * size), 1)
    return np.asarray(level + (scanner.valve - level) * lines)


def _filled(outlines: list[np.ndarray], size: int) -> np.ndarray:
    mask = np.zeros((size, size), np.uint8)
    for outline in outlines:
        cv2.fillPoly(mask, [np.rint((outline * size - 0.5) * 16).astype(np.int32)], 1, shift=4)
    return mask


def _distance(mask: np.ndarray) -> np.ndarray:
    """Return the signed distance from a region's border in fractions of the side, negative inside."""
    outside = cv2.distanceTransform(1 - mask, cv2.DIST_L2, 3)
    inside = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    return np.asarray(cv2.GaussianBlur(outside - inside, (0, 0), 1.0)) / np.float32(len(mask))


def _blend(level: np.ndarray, inside: np.float32, distance: np.ndarray, soft: np.float32) -> np.ndarray:
    """Return `inside` where the distance is negative, `level` where it is positive, and a ramp between."""
    weight = np.clip(0.5 - distance / soft, 0, 1)
    return level + (inside - level) * weight


def _across(distance: np.ndarray, beam: _Beam) -> np.ndarray:
    """Return the squared cosine between surface normal and beam: 1 where the surface lies across the beam."""
    dy, dx = np.gradient(cv2.GaussianBlur(distance, (0, 0), 1.5))
    along = dx * beam.direction[..., 0] + dy * beam.direction[..., 1]
    return np.asarray(np.square(along) / np.maximum(dx * dx + dy * dy, 1e-12))
