"""The male pelvis in two MR contrasts: T2 weighted, and the apparent diffusion coefficient (ADC)."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import ndimage

from trainables.common.seeds import numpy_generator
from trainables.phantom.anatomy.volume import Body, Point, Space, Volume, bent_space, smooth_field
from trainables.phantom.imaging.mri_signal import blurred, draw_scan, magnitude, sensitivity, texture
from trainables.phantom.settings import PhantomSettings

PERIPHERAL, TRANSITION = 1, 2
EXTENT = (192.0, 192.0, 72.0)
"""Size of the volume in mm: 320 x 320 x 20 voxels of 0.6 x 0.6 x 3.6 mm, as in the published dataset."""

_FINE = (32, 32, 10)  # knots of what winds through the fat: some 6 mm apart

_T2 = {
    "fat": 0.78,
    "muscle": 0.17,
    "marrow": 0.5,
    "cortex": 0.05,
    "urine": 1.15,
    "bladder wall": 0.28,
    "rectal wall": 0.34,
    "gas": 0.02,
    "stool": 0.42,
    "gel": 0.95,
    "vesicle": 0.95,
    "veins": 0.8,
    "peripheral": 0.85,
    "transition": 0.42,
    "stroma": 0.17,
    "capsule": 0.22,
    "tumour": 0.3,
}
_ADC = {  # 10^-6 mm^2/s
    "fat": 180.0,
    "muscle": 1150.0,
    "marrow": 250.0,
    "cortex": 60.0,
    "urine": 2900.0,
    "bladder wall": 1300.0,
    "rectal wall": 1250.0,
    "gas": 40.0,
    "stool": 900.0,
    "gel": 2400.0,
    "vesicle": 1900.0,
    "veins": 1600.0,
    "peripheral": 1750.0,
    "transition": 1300.0,
    "stroma": 950.0,
    "capsule": 1200.0,
    "tumour": 800.0,
}


def draw_pelvis(settings: PhantomSettings, name: str) -> Volume:
    """Generate one patient's pelvis: channel 0 T2, channel 1 ADC; labels 1 peripheral and 2 transition zone.

    T2 is in arbitrary units (fat around 500), ADC in 10^-6 mm^2/s.
    """
    rng = numpy_generator(settings.seed, "pelvis", name)
    space = bent_space((settings.size, settings.size, settings.slices), EXTENT, rng.uniform(1.0, 2.6), rng)
    body = _surroundings(space, rng)
    half = (rng.uniform(21, 30), rng.uniform(16, 23), rng.uniform(20, 30))  # mm
    zones = _prostate(space, body, half, rng)
    _rectum(space, body, half[1], rng)
    labels = np.zeros(space.shape, np.uint8)
    labels[zones & ~body.where("rectal wall", "gas", "stool", "gel")] = PERIPHERAL
    labels[(labels == PERIPHERAL) & body.where("transition", "stroma", "capsule")] = TRANSITION
    nodules = _nodules(space, body, half, rng)
    scanner = numpy_generator(settings.seed, "pelvis", name, "scanner")
    t2 = _image(space, body, nodules, scanner)
    adc = _diffusion(space, body, nodules, scanner)
    return Volume(np.stack([t2, adc], axis=-1), labels, space.spacing)


def _surroundings(space: Space, rng: np.random.Generator) -> Body:
    """Paint fat, muscles, bones and bladder."""
    uniform, body = rng.uniform, Body(space, "fat")
    wide = uniform(0.93, 1.08)
    across = np.abs(space.x) / np.float32(wide)
    body.paint("muscle", space.ellipsoid((0, -58, -10), (95 * wide, 42, 200), 3) * (across > 16 - 0.25 * space.y))
    body.paint("fat", space.ellipsoid((0, -22, 0), (60 * wide, 50, 300), 2.6))
    body.paint("fat", (np.abs(across - (34 - 0.2 * (space.y + 60))) < 2.5) & (space.y < -58))
    for side in (-1, 1):
        hip = (side * 76 * wide, uniform(-2, 4), 8.0)
        body.paint("cortex", space.ellipsoid(hip, (24, 42, 75), 2.4, turn=side * 0.3))
        body.paint("marrow", space.ellipsoid(hip, (21, 39, 72), 2.4, turn=side * 0.3))
        body.paint("cortex", space.ellipsoid((side * 92 * wide, 14, 26), (25, 26, 26)))
        body.paint("marrow", space.ellipsoid((side * 92 * wide, 14, 26), (23, 24, 24)))
        inner = (side * uniform(49, 53) * wide, -6.0, 0.0)
        body.paint("muscle", space.ellipsoid(inner, (uniform(8, 11), 44, 90), 2.5, turn=side * uniform(0.12, 0.3)))
        pubis = (side * 21 * wide, 60.0, -22.0)
        body.paint("cortex", space.ellipsoid(pubis, (23, 13, 27), 2.5, turn=side * -0.5))
        body.paint("marrow", space.ellipsoid(pubis, (20.5, 10.5, 25), 2.5, turn=side * -0.5))
        body.paint("muscle", space.ellipsoid((side * 17, 78, 25), (19, 9, 60), 2.5))
    body.paint("cortex", space.ellipsoid((0, -80, 14), (14, 7, 30)))
    body.paint("marrow", space.ellipsoid((0, -80, 14), (12, 5, 28)))
    sling = np.hypot(space.x / (34 + 0.25 * space.z), (space.y + 14) / 40)  # the levator ani, a funnel to the anus
    body.paint("muscle", (np.abs(sling - 1) < uniform(0.05, 0.09)) & (space.y < 8) & (space.z < 16))
    filling = uniform(0.75, 1.25)
    centre = (uniform(-5, 5), uniform(14, 24), uniform(42, 50))
    radii = (40 * filling, 30 * filling, 28 * filling)
    wall = uniform(2.5, 5)
    body.paint("bladder wall", space.ellipsoid(centre, radii, 2.3))
    body.paint("urine", space.ellipsoid(centre, (radii[0] - wall, radii[1] - wall, radii[2] - wall), 2.3))
    return body


def _prostate(space: Space, body: Body, half: Point, rng: np.random.Generator) -> np.ndarray:
    """Paint the gland, its zones and the seminal vesicles; return the mask of the gland."""
    uniform = rng.uniform
    for side in (-1, 1):
        ends = [(side * 3.0, -half[1] * 0.7, half[2] * 0.9), (side * uniform(20, 27), -half[1] - 2, half[2] + 8)]
        winding = space.tube(ends, uniform(4.5, 7)) + 1.6 * smooth_field(space.shape, _FINE, rng)
        body.paint("vesicle", winding)
    veins = space.ellipsoid((0, half[1] + 6, -6), (half[0] * 0.85, 6, 26)) + 2.0 * smooth_field(space.shape, _FINE, rng)
    body.paint("veins", veins)
    narrow = 1 - 0.32 * np.clip(-space.z / half[2], 0, 1.1) ** 1.5  # towards the apex
    squeezed = dataclasses.replace(space, x=space.x / narrow, y=space.y / narrow)
    gland = squeezed.ellipsoid((0, 0, 0), half, uniform(2.1, 2.7))
    dent = uniform(2, 5) * np.exp(-((space.x / 12) ** 2)) * (space.y < 0)
    gland = gland - dent.astype(np.float32)
    inside: np.ndarray = gland > 0
    body.paint("peripheral", inside)
    body.paint("tumour", _tumours(space, half, rng) & inside)
    share = uniform(0.62, 0.9)
    radii = (half[0] * share, half[1] * min(share + 0.05, 0.92), half[2] * min(share + 0.1, 0.95))
    centre = (uniform(-1, 1), half[1] * uniform(0.16, 0.3), half[2] * uniform(0.08, 0.25))
    core = squeezed.ellipsoid(centre, radii, uniform(2.0, 2.6))
    body.paint("capsule", (core > -1.0) & inside)
    body.paint("transition", (core > 0) & inside)
    body.paint("stroma", space.ellipsoid((0, half[1] * 0.92, 0), (half[0] * 0.55, uniform(4, 8), half[2])) * inside)
    body.paint("capsule", (gland > -1.1) & ~inside)
    return inside


def _tumours(space: Space, half: Point, rng: np.random.Generator) -> np.ndarray:
    """Return the mask of up to two dark foci at the back of the gland."""
    mask: np.ndarray = np.zeros(space.shape, bool)
    for _ in range(int(rng.choice([0, 1, 1, 2]))):
        angle, radius = rng.uniform(-1.3, 1.3), rng.uniform(3, 6)
        centre = (half[0] * 0.78 * np.sin(angle), -half[1] * 0.78 * np.cos(angle), rng.uniform(-0.5, 0.5) * half[2])
        mask |= space.ellipsoid(centre, (radius * 1.4, radius, radius * 1.4)) > 0
    return mask


def _rectum(space: Space, body: Body, depth: float, rng: np.random.Generator) -> None:
    """Paint the rectum behind the gland, filled with gas, stool or the gel of the examination."""
    uniform = rng.uniform
    radius, wall = uniform(9, 19), uniform(2.5, 4.5)
    behind = -depth - radius - uniform(-1, 2)
    lean = uniform(-0.15, 0.35)
    path = [(uniform(-6, 6), behind + lean * 40, -40.0), (uniform(-5, 5), behind, 0.0), (uniform(-9, 9), behind, 40.0)]
    tube = space.tube(path, radius)
    content = str(rng.choice(["gas", "stool", "gel"], p=[0.45, 0.4, 0.15]))
    body.paint("rectal wall", tube)
    body.paint(content, tube > wall)
    if content == "gas":  # what lies in the tube settles at the back
        body.paint("stool", (tube > wall) & (space.y < behind - uniform(0, radius)))


def _nodules(space: Space, body: Body, half: Point, rng: np.random.Generator) -> np.ndarray:
    """Return a factor on the signal `(x, y, z)` for nodules of the transition zone with dark rims."""
    factor = np.ones(space.shape, np.float32)
    zone = body.where("transition")
    for _ in range(int(rng.integers(4, 14))):
        angle, away, radius = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.75), rng.uniform(3, 9)
        centre = (
            half[0] * 0.75 * away * np.cos(angle),
            half[1] * (0.2 + 0.7 * away * np.sin(angle)),
            half[2] * rng.uniform(-0.5, 0.8),
        )
        depth = space.ellipsoid(centre, (radius, radius * rng.uniform(0.7, 1.1), radius))
        factor[zone & (depth > 0)] = rng.uniform(0.55, 2.0)
        factor[zone & (np.abs(depth) < 0.7)] = 0.55
    return factor


def _image(space: Space, body: Body, nodules: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the T2-weighted image in arbitrary units."""
    scan = draw_scan(rng, blur=(0.4, 0.8), noise=(0.015, 0.05))
    levels = {tissue: level * rng.uniform(0.88, 1.12) for tissue, level in _T2.items()}
    levels["peripheral"] *= rng.uniform(0.65, 1.1)
    levels["transition"] *= rng.uniform(0.8, 1.3)
    signal = body.signal(levels) * nodules
    uneven = np.where(body.where("peripheral", "transition"), 1.5, 0.5).astype(np.float32)
    signal *= np.exp(uneven * (scan.texture * texture(space, scan.grain, rng) + 0.1 * texture(space, 6, rng)))
    signal *= sensitivity(space, scan, rng)
    if rng.random() < 0.25:  # a coil in the rectum: the signal falls with the distance from it
        signal *= 0.55 + 1.6 * np.exp(-np.hypot(space.x, space.y + 38) / 28)
    noisy = magnitude(blurred(space, signal, scan.blur), scan.noise, rng)
    return np.asarray(noisy * np.float32(rng.uniform(350, 1000)), np.float32)


def _diffusion(space: Space, body: Body, nodules: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return ADC in 10^-6 mm^2/s: coarser than T2, noisy, and distorted near gas."""
    scan = draw_scan(rng, blur=(1.1, 1.9), noise=(0.02, 0.05))
    levels = {tissue: level * rng.uniform(0.9, 1.1) for tissue, level in _ADC.items()}
    signal = body.signal(levels) * nodules**0.4
    signal *= np.exp(scan.texture * 1.3 * texture(space, 2.5, rng))
    signal = blurred(space, signal, scan.blur)
    steps = [np.arange(n, dtype=np.float32) for n in space.shape]
    shift = (1.2 / space.spacing[1]) * smooth_field(space.shape, (5, 5, 4), rng)
    i, j, k = np.meshgrid(*steps, indexing="ij")
    bent = ndimage.map_coordinates(signal, np.stack([i, j + shift, k]), order=1, mode="nearest")
    return np.asarray(magnitude(bent, 2900 * scan.noise, rng), np.float32)
