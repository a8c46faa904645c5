from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest


@pytest.fixture(scope="session")
def voxels() -> Callable[..., tuple[np.ndarray, ...]]:
    """Find the voxel of a NIfTI file that lies where a reader says that a pixel lies, by nibabel's affine alone."""

    def find(path: Path, planes: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, ...]:
        rows, columns = (axis[..., None] for axis in np.indices(shape))
        points = np.stack([origin + rows * down + columns * right for origin, down, right in planes])
        world = np.concatenate([points * [-1, -1, 1], np.ones_like(points[..., :1])], axis=-1)
        places = (world @ np.linalg.inv(nib.load(path).affine).T)[..., :3]
        whole = np.rint(places).astype(int)
        np.testing.assert_allclose(places, whole, atol=0.01)
        return tuple(np.moveaxis(whole, -1, 0))

    return find
