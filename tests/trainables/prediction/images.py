"""Images, and a network that segments them by their gray levels, for tests of predictions."""

from pathlib import Path

import cv2
import nibabel as nib
import numpy as np
import torch
from torch import Tensor

from trainables.data.settings import DataSettings
from trainables.networks.network import SegmentationNetwork
from trainables.prediction.ensemble import Ensemble
from trainables.prediction.preprocessing import Preprocessing
from trainables.prediction.results import ResultFolder

CLASSES = ("background", "lv")
PREPROCESSING = Preprocessing(32, ("grey",), (0.0,), (1.0,), CLASSES)
DATA = DataSettings(image_size=32)


class Threshold(SegmentationNetwork):
    """Network that calls a pixel an lv where it is brighter than a level in [0, 1]."""

    def __init__(self, level: float = 0.5, sharp: float = 100.0) -> None:
        torch.nn.Module.__init__(self)
        self.level, self.sharp = level, sharp

    def forward(self, images: Tensor) -> Tensor:
        logit = self.sharp * (images[:, :1] - self.level)
        return torch.cat([-logit, logit], 1)


def ensemble(*networks: SegmentationNetwork, **options: object) -> Ensemble:
    device = torch.device("cpu")
    return Ensemble(networks or (Threshold(),), PREPROCESSING, device=device, precision="float32", **options)  # type: ignore[arg-type]


def disc(size: tuple[int, int], radius: float, middle: tuple[float, float] | None = None) -> np.ndarray:
    """Return a bright disc on black, uint8."""
    row, column = middle or ((size[0] - 1) / 2, (size[1] - 1) / 2)
    rows, columns = np.mgrid[: size[0], : size[1]]
    return np.where((rows - row) ** 2 + (columns - column) ** 2 <= radius**2, 255, 0).astype(np.uint8)


def write_png(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)
    return path


def write_nifti(path: Path, array: np.ndarray, affine: np.ndarray) -> Path:
    image = nib.Nifti1Image(array, affine)
    image.set_sform(affine, 2)
    image.header["descrip"] = b"Jane Doe"
    nib.save(image, path)
    return path


def folder(root: Path, key: str = "a") -> ResultFolder:
    return ResultFolder(root, key, b"secret")
