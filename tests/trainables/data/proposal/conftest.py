"""Folders of pictures as people keep them."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

Writer = Callable[[str, np.ndarray], Path]

SHAPE = (12, 10)


def disc(value: int = 255, column: int = 3) -> np.ndarray:
    """Return a mask of one structure."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[3:7, column : column + 3] = value
    return mask


def grey(number: int = 0) -> np.ndarray:
    """Return an image with many gray levels, another one for each number."""
    return np.random.default_rng(number).integers(0, 256, SHAPE).astype(np.uint8)


@pytest.fixture
def write(tmp_path) -> Writer:
    """Function that writes a picture (blue, green, red) below `tmp_path`."""

    def picture(name: str, pixels: np.ndarray) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), pixels)
        return path

    return picture
