"""Ultrasound cine of one phantom patient: video, reference masks and clinical values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainables.common.seeds import derive, numpy_generator
from trainables.phantom.anatomy.shapes import Heart, draw_heart
from trainables.phantom.imaging.ultrasound import draw_scanner, render
from trainables.phantom.settings import PhantomSettings


@dataclass(frozen=True)
class Cine:
    """Rendered ultrasound examination.

    Attributes:
        images: video frames, uint8 `(T, size, size)`.
        heart: anatomy that was imaged.
        end_diastole: frame of the largest left ventricle.
        end_systole: frame of the smallest left ventricle.
        millimetres: length of the image's side in mm.
    """

    images: np.ndarray
    heart: Heart
    end_diastole: int
    end_systole: int
    millimetres: float

    @property
    def volumes(self) -> tuple[float, float]:
        """End-diastolic and end-systolic volume in mL."""
        millilitres = (self.millimetres / 10) ** 3
        return tuple(millilitres * self.heart.volume(frame) for frame in (self.end_diastole, self.end_systole))  # type: ignore[return-value]

    @property
    def ejection_fraction(self) -> float:
        """Ejection fraction in percent."""
        diastolic, systolic = self.volumes
        return 100 * (diastolic - systolic) / diastolic

    def left_ventricle(self, frame: int) -> np.ndarray:
        """Return the mask of the pixels whose centre lies in the cavity, bool `(size, size)`."""
        size = self.images.shape[-1]
        centre = (np.arange(size) + 0.5) / size
        x, y = np.meshgrid(centre, centre)
        return self.heart.covers(x, y, frame)


def subject_name(settings: PhantomSettings, number: int) -> str:
    """Return the identifier of a phantom patient in EchoNet-Dynamic's format."""
    return f"0X{derive(settings.seed, 'phantom', number):016X}"


def draw_cine(settings: PhantomSettings, name: str, view: str = "4CH") -> Cine:
    """Generate one patient's examination from seed, name, view, number of frames and size."""
    heart = draw_heart(numpy_generator(settings.seed, "heart", name, view), settings.frames, view)
    rng = numpy_generator(settings.seed, "scanner", name, view)
    scanner = draw_scanner(rng, heart)
    images = render(heart, scanner, settings.size, rng)
    areas = [heart.volume(frame) for frame in range(settings.frames)]
    return Cine(images, heart, int(np.argmax(areas)), int(np.argmin(areas)), float(rng.uniform(150, 210)))
