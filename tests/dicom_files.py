"""Changes of DICOM files, for tests."""

from __future__ import annotations

from pathlib import Path

import pydicom


def change(path: Path, **tags: object) -> Path:
    """Set header entries of a file, remove those that are None, and return its path."""
    dataset = pydicom.dcmread(path)
    for name, value in tags.items():
        if value is None:
            delattr(dataset, name)
        elif name.startswith("PixelPadding"):  # US or SS
            assert isinstance(value, int)
            dataset.add_new(name, "SS" if value < 0 else "US", value)
        else:
            setattr(dataset, name, value)
    dataset.save_as(path)
    return path
