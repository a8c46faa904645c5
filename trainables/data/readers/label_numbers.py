"""Label numbers of a mask file, which must be whole numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trainables.common.errors import DataError

_ROUNDING = 1e-3  # labels that a file's slope and intercept scale come out this near to a whole number
_LARGEST = 2.0**53  # floats hold no whole numbers one by one beyond it
_SHOWN = 4


def to_label_numbers(path: Path, values: np.ndarray) -> np.ndarray:
    """Return the values of a mask file as int64.

    Args:
        path: the mask file, for the message.
        values: real numbers of any shape.

    Raises:
        DataError: values lie between whole numbers, as interpolation or lossy compression leaves them.
    """
    if not np.issubdtype(values.dtype, np.floating):
        return values.astype(np.int64)
    whole = np.rint(values)
    with np.errstate(invalid="ignore"):  # infinity minus itself
        between = np.unique(values[~(np.abs(values - whole) <= _ROUNDING) | (np.abs(whole) > _LARGEST)])
    if between.size:
        few = ", ".join(f"{value:.4g}" for value in between[:_SHOWN].tolist())
        more = ", ..." if between.size > _SHOWN else ""
        raise DataError(
            f"{path}: labels between whole numbers (found {few}{more}, expected whole numbers). "
            "Fix: resample the mask by nearest neighbor"
        )
    return np.asarray(whole, np.int64)
