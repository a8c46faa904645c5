"""The upper abdomen in MR: T1 weighted in and out of phase, and T2 weighted with fat suppressed (SPIR).

The contrasts and their names are those of CHAOS (Kavur et al., CHAOS challenge: combined (CT-MR) healthy abdominal
organ segmentation, Medical Image Analysis 69, 2021).
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from trainables.common.seeds import numpy_generator
from trainables.phantom.anatomy.volume import Body, Point, Space, Volume, bent_space
from trainables.phantom.imaging.mri_signal import blurred, draw_scan, magnitude, sensitivity, texture
from trainables.phantom.settings import PhantomSettings

LABELS = {"liver": 1, "right kidney": 2, "left kidney": 3, "spleen": 4}
EXTENT = (400.0, 400.0, 220.0)
"""Size of the volume in mm."""

Sequence = Literal["T1DUAL", "T2SPIR"]

_TISSUES: dict[str, tuple[float, float, float]] = {  # water in T1, fat in T1, T2 with fat suppressed
    "air": (0.0, 0.0, 0.0),
    "fat": (0.08, 0.95, 0.09),
    "skin": (0.3, 0.1, 0.2),
    "muscle": (0.42, 0.03, 0.16),
    "lung": (0.03, 0.0, 0.05),
    "marrow": (0.24, 0.26, 0.22),
    "disc": (0.36, 0.02, 0.45),
    "cortex": (0.05, 0.02, 0.03),
    "cord": (0.16, 0.0, 0.95),
    "liver": (0.62, 0.0, 0.32),
    "vessel": (0.4, 0.0, 0.5),
    "bile": (0.25, 0.0, 1.1),
    "kidney cortex": (0.46, 0.0, 0.68),
    "kidney medulla": (0.34, 0.0, 0.85),
    "kidney sinus": (0.1, 0.7, 0.25),
    "spleen": (0.4, 0.0, 0.62),
    "aorta": (0.16, 0.0, 0.07),
    "cava": (0.28, 0.0, 0.2),
    "stomach wall": (0.42, 0.0, 0.4),
    "stomach": (0.2, 0.02, 0.8),
    "gas": (0.0, 0.0, 0.0),
    "pancreas": (0.58, 0.06, 0.36),
    "bowel wall": (0.4, 0.0, 0.38),
    "bowel": (0.3, 0.03, 0.55),
    "heart": (0.4, 0.0, 0.25),
}


def draw_abdomen(settings: PhantomSettings, name: str, sequence: Sequence) -> Volume:
    """Generate one patient's abdomen; label values are `LABELS`.

    The two sequences are two breath-holds of the same patient, so that their organs lie some millimetres apart.

    Args:
        settings: image size, number of slices and seed.
        name: patient identifier, which determines the anatomy.
        sequence: "T1DUAL" has two channels, in phase and out of phase; "T2SPIR" has one. Arbitrary units.
    """
    rng = numpy_generator(settings.seed, "abdomen", name)
    extent = (EXTENT[0], EXTENT[1], EXTENT[2] * rng.uniform(0.92, 1.08))
    space = bent_space((settings.size, settings.size, settings.slices), extent, rng.uniform(2.5, 5.5), rng)
    hold = numpy_generator(settings.seed, "abdomen", name, sequence)
    space = dataclasses.replace(space, z=space.z + np.float32(hold.normal(0, 3)))
    steatosis = float(rng.uniform(0, 0.06) if rng.random() < 0.7 else rng.uniform(0.06, 0.3))
    body = _organs(space, rng)
    images = _dual(space, body, steatosis, hold) if sequence == "T1DUAL" else _spir(space, body, hold)
    return Volume(images, _labels(space, body), space.spacing)


def _labels(space: Space, body: Body) -> np.ndarray:
    labels = np.zeros(space.shape, np.uint8)
    labels[body.where("liver", "vessel")] = LABELS["liver"]
    labels[body.where("spleen")] = LABELS["spleen"]
    kidneys = body.where("kidney cortex", "kidney medulla")
    labels[kidneys & (space.x > 0)] = LABELS["right kidney"]
    labels[kidneys & (space.x <= 0)] = LABELS["left kidney"]
    return labels


def _organs(space: Space, rng: np.random.Generator) -> Body:
    """Paint the upper abdomen from the wall to the organs; later tissues cover earlier ones."""
    uniform, body = rng.uniform, Body(space, "air")
    wide, deep = uniform(145, 182), uniform(102, 128)
    trunk = space.ellipsoid((0, 0, 0), (wide, deep, 3000), 2.4)
    fat, wall = uniform(7, 28), uniform(9, 15)
    body.paint("skin", trunk)
    body.paint("fat", trunk > 2)
    inside = trunk > fat + wall
    _wall(space, body, trunk > fat, rng)
    body.paint("fat", inside)
    room = Room(wide - fat - wall, deep - fat - wall)
    top = uniform(66, 90)
    _lungs(space, body, inside, room, top)
    _liver(space, body, inside, room, top, rng)
    _left_side(space, body, inside, room, rng)
    _bowel(space, body, inside, room, rng)
    for side, height in ((1, uniform(-52, -36)), (-1, uniform(-44, -26))):
        _kidney(space, body, (side * 0.5 * room.wide, -0.42 * room.deep, height), side, rng)
    _midline(space, body, room, rng)
    return body


@dataclasses.dataclass(frozen=True)
class Room:
    """Half width and half depth of the cavity within the abdominal wall, mm."""

    wide: float
    deep: float

    def at(self, x: float, y: float, z: float) -> Point:
        """Return a point from fractions of half width (positive right) and half depth (positive front), and z in mm."""
        return x * self.wide, y * self.deep, z


def _wall(space: Space, body: Body, within: np.ndarray, rng: np.random.Generator) -> None:
    """Paint muscle, and ribs that run obliquely through it."""
    body.paint("muscle", within)
    wave = np.sin(11 * np.arctan2(space.y, space.x) + 0.16 * np.abs(space.x) + 0.17 * space.z + rng.uniform(0, 6))
    body.paint("marrow", within & (wave > 0.72) & (space.z > -70 + 0.5 * space.y))
    body.paint("muscle", space.ellipsoid((0, -105, 0), (70, 40, 3000), 2.5) * within)


def _dome(space: Space, room: Room, side: int, top: float) -> np.ndarray:
    """Return the depth below one half of the diaphragm, whose dome is at `top` mm."""
    centre = room.at(0.5 * side, -0.02, -18)
    return space.ellipsoid(centre, (0.55 * room.wide, 1.06 * room.deep, top + 18), 2.4)


def _lungs(space: Space, body: Body, inside: np.ndarray, room: Room, top: float) -> None:
    """Paint lungs above the diaphragm, and the lower wall of the heart."""
    below = np.maximum(_dome(space, room, 1, top), _dome(space, room, -1, top - 8))
    body.paint("lung", inside & (below < 0) & (space.z > 20))
    heart = space.ellipsoid(room.at(-0.2, 0.38, top + 18), (0.46 * room.wide, 0.42 * room.deep, 38))
    body.paint("heart", inside & (heart > 0))


def _liver(space: Space, body: Body, inside: np.ndarray, room: Room, top: float, rng: np.random.Generator) -> None:
    """Paint both liver lobes, their vessels and the gallbladder."""
    uniform = rng.uniform
    right = _dome(space, room, 1, top) - 1.5
    reach = uniform(0.35, 0.75)
    left = space.ellipsoid(
        room.at(0.3 - 0.5 * reach, uniform(0.4, 0.55), uniform(20, 34)),
        ((0.3 + 0.5 * reach) * room.wide, uniform(0.34, 0.48) * room.deep, uniform(34, 50)),
        2.2,
        turn=uniform(-0.15, 0.1),
    )
    medial = np.clip(space.x / room.wide - 0.1, -1, 0.8)
    underside = uniform(-8, 8) - uniform(85, 125) * np.clip(medial, 0, None) + 35 * np.clip(-medial, 0, None)
    hilum = space.ellipsoid(room.at(0.12, -0.25, -30), (0.3 * room.wide, 0.42 * room.deep, 44))
    liver = inside & (np.maximum(right, left) > 0) & (space.z > underside - 0.25 * (space.y - 20)) & (hilum < 0)
    body.paint("liver", liver)
    gate, cava = room.at(0.2, 0.05, 6), room.at(0.15, -0.22, top - 12)
    for start, ends, radius in (
        (gate, ((0.55, -0.1, 14), (0.8, 0.25, 22), (0.75, -0.5, 4), (0.0, 0.5, 28), (-0.3, 0.55, 30)), 4.5),
        (cava, ((0.8, 0.1, 26), (0.5, 0.55, 22), (0.1, 0.6, 34), (0.7, -0.55, 30)), 4.0),
    ):
        for end in ends:
            x, y, z = (value + uniform(-0.06, 0.06) * scale for value, scale in zip(end, (1, 1, 100), strict=True))
            middle = room.at((start[0] / room.wide + x) / 2, (start[1] / room.deep + y) / 2 + 0.06, z - 4)
            body.paint(
                "vessel", (space.tube([start, middle, room.at(x, y, z)], radius * uniform(0.7, 1.1)) > 0) & liver
            )
    bladder = room.at(uniform(0.3, 0.45), uniform(0.4, 0.6), uniform(-38, -18))
    body.paint("bile", inside & (space.ellipsoid(bladder, (uniform(8, 15), uniform(14, 24), uniform(16, 26))) > 0))


def _left_side(space: Space, body: Body, inside: np.ndarray, room: Room, rng: np.random.Generator) -> None:
    """Paint spleen, stomach and pancreas."""
    uniform = rng.uniform
    large = uniform(0.85, 1.25)
    place = room.at(uniform(-0.72, -0.64), uniform(-0.5, -0.38), uniform(18, 36))
    spleen = space.ellipsoid(place, (0.24 * large * room.wide, 0.5 * large * room.deep, 46 * large), 2.2, turn=0.35)
    body.paint("spleen", inside & (spleen > 0))
    body.paint("pancreas", space.tube([room.at(0.2, 0.08, -20), room.at(0, 0.2, -8), room.at(-0.5, -0.1, 8)], 10))
    place = room.at(uniform(-0.46, -0.34), uniform(0.15, 0.3), uniform(22, 38))
    stomach = space.ellipsoid(
        place, (uniform(0.24, 0.36) * room.wide, uniform(0.36, 0.5) * room.deep, 46), 2.2, turn=-0.2
    )
    antrum = space.tube([place, room.at(-0.15, 0.45, -6), room.at(0.14, 0.35, -14)], uniform(13, 19))
    stomach = np.minimum(np.maximum(stomach, antrum), np.where(inside & ~body.where("liver"), np.inf, -1))
    body.paint("stomach wall", stomach)
    body.paint("stomach", stomach > 3.5)
    body.paint("gas", (stomach > 3.5) & (space.y > place[1] + uniform(0.0, 0.4) * room.deep))


def _bowel(space: Space, body: Body, inside: np.ndarray, room: Room, rng: np.random.Generator) -> None:
    """Paint bowel loops below the liver and the stomach."""
    uniform = rng.uniform
    free = inside & body.where("fat")
    for _ in range(16):
        place = room.at(uniform(-0.85, 0.85), uniform(-0.05, 0.75), uniform(-115, -30))
        radius = uniform(11, 21)
        loop = space.ellipsoid(place, (radius * uniform(0.8, 1.8), radius, radius * 1.2), turn=uniform(0, 3)) * free
        body.paint("bowel wall", loop)
        body.paint("gas" if uniform() < 0.25 else "bowel", loop > 3)


def _kidney(space: Space, body: Body, place: Point, side: int, rng: np.random.Generator) -> None:
    """Paint one kidney in its fat: cortex, pyramids, and the sinus that opens towards the spine."""
    uniform = rng.uniform
    radii = (uniform(24, 30), uniform(25, 32), uniform(46, 58))
    lean = dataclasses.replace(space, x=space.x - np.float32(side * -0.15) * (space.z - np.float32(place[2])))
    turn = side * uniform(0.3, 0.7)
    padding = uniform(4, 10)
    body.paint("fat", lean.ellipsoid(place, (radii[0] + padding, radii[1] + padding, radii[2] + padding), turn=turn))
    kidney = lean.ellipsoid(place, radii, turn=turn)
    gate = (place[0] - side * radii[0] * 0.75, place[1] + radii[1] * 0.45, place[2])
    sinus = lean.ellipsoid(gate, (radii[0] * 0.85, radii[1] * 0.5, radii[2] * 0.5), turn=turn)
    body.paint("kidney cortex", (kidney > 0) & (sinus < 0))
    angle = np.arctan2(lean.z - place[2], lean.x - place[0])
    body.paint("kidney medulla", (kidney > 6) & (sinus < -2) & (np.sin(9 * angle) > -0.3))
    body.paint("kidney sinus", (kidney > 0) & (sinus >= 0))


def _midline(space: Space, body: Body, room: Room, rng: np.random.Generator) -> None:
    """Paint the spine with discs and canal, the adjacent muscles, and the two great vessels."""
    uniform = rng.uniform
    front = -0.5 * room.deep + uniform(-6, 4)
    for side in (-1, 1):
        psoas = space.ellipsoid((side * 38, front - 8, -110), (18, 20, 80))
        body.paint("muscle", psoas)
    radius = uniform(19, 24)
    bone = space.ellipsoid((0, front - 12, 0), (radius * 1.15, radius * 0.85, 3000), 2.5)
    body.paint("cortex", bone)
    body.paint("marrow", bone > 1.5)
    body.paint("disc", (bone > 0) & (np.abs(np.mod(space.z + uniform(0, 34), 34) - 17) < 4))
    arch = space.ellipsoid((0, front - 12 - radius * 1.4, 0), (17, 13, 3000))
    body.paint("cortex", arch)
    body.paint("marrow", space.tube([(0, front - 50, -200), (0, front - 50, 200)], 8))
    body.paint("cord", space.ellipsoid((0, front - 10 - radius * 1.3, 0), (10, 8, 3000)))
    aorta = [(-9.0 - uniform(0, 8), front + 17, z) for z in (-200.0, 0.0, 200.0)]
    body.paint("aorta", space.tube(aorta, uniform(8, 12)))
    cava = [(20.0 + uniform(0, 5), front + 18, -200.0), (22.0, front + 20, 0.0), (20.0, front + 32, 100.0)]
    body.paint("cava", space.tube(cava, uniform(9, 13)))


def _dual(space: Space, body: Body, steatosis: float, rng: np.random.Generator) -> np.ndarray:
    """Return in-phase and out-of-phase images: water and fat add or cancel, with dark lines at their borders."""
    scan = draw_scan(rng, blur=(0.7, 1.3), noise=(0.012, 0.04))
    water = {tissue: values[0] * rng.uniform(0.88, 1.12) for tissue, values in _TISSUES.items()}
    fat = {tissue: values[1] * rng.uniform(0.88, 1.12) for tissue, values in _TISSUES.items()}
    fat["liver"] = steatosis * water["liver"]
    grain = np.exp(scan.texture * texture(space, scan.grain, rng)) * sensitivity(space, scan, rng)
    parts = [blurred(space, body.signal(levels) * grain, scan.blur) for levels in (water, fat)]
    gain = np.float32(rng.uniform(500, 1500))
    phases = (parts[0] + parts[1], np.abs(parts[0] - parts[1]))
    return np.stack([magnitude(phase, scan.noise, rng) * gain for phase in phases], axis=-1)


def _spir(space: Space, body: Body, rng: np.random.Generator) -> np.ndarray:
    scan = draw_scan(rng, blur=(0.7, 1.3), noise=(0.012, 0.04))
    levels = {tissue: values[2] * rng.uniform(0.85, 1.15) for tissue, values in _TISSUES.items()}
    grain = np.exp(scan.texture * texture(space, scan.grain, rng)) * sensitivity(space, scan, rng)
    signal = blurred(space, body.signal(levels) * grain, scan.blur)
    return np.asarray(magnitude(signal, scan.noise, rng) * np.float32(rng.uniform(500, 1500)))[..., None]
