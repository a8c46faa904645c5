"""Write a small dataset for the layout of this folder: a bright blob in noise, twelve patients."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np


def main(folder: Path, patients: int = 12, frames: int = 4, side: int = 40) -> None:
    """Write one file a patient."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = np.random.default_rng(0)
    rows, columns = np.mgrid[:side, :side]
    for patient in range(patients):
        images, masks = [], []
        for _ in range(frames):
            (row, column), radius = numbers.uniform(12, 28, 2), numbers.uniform(5, 10)
            mask = ((rows - row) ** 2 + (columns - column) ** 2 < radius**2).astype(np.uint8)
            # Darker with depth, so that a rotation can be told.
            noise = numbers.normal(150, 10, mask.shape) + 60 * mask - 3 * rows
            images.append(np.clip(noise, 0, 255).astype(np.uint8))
            masks.append(mask)
        np.savez_compressed(folder / f"patient{patient:02d}.npz", images=np.stack(images), masks=np.stack(masks))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
