from pathlib import Path

import numpy as np
import pytest

from trainables.common.errors import DataError
from trainables.data.readers.label_numbers import to_label_numbers

PATH = Path("m.nii")


def test_whole_numbers_of_any_type_are_labels():
    for values in ([0, 3], [False, True], [0.0, 2.9996], np.array([0, 255], np.uint8), np.array([-1, 7], np.float64)):
        labels = to_label_numbers(PATH, np.asarray(values))
        assert labels.dtype == np.int64
        np.testing.assert_array_equal(labels, np.rint(np.asarray(values, float)))


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([0, 0.5, 1], "0.5"),
        ([1.5, 0.5], "0.5, 1.5"),
        ([0.1, 0.2, 0.3, 0.4, 0.6], "0.1, 0.2, 0.3, 0.4, ..."),
        ([np.nan], "nan"),
        ([np.inf], "inf"),
    ],
)
def test_numbers_between_are_refused_by_the_file_and_the_number(values, found):
    with pytest.raises(DataError) as caught:
        to_label_numbers(PATH, np.array(values, np.float32))
    assert str(caught.value) == (
        f"m.nii: labels between whole numbers (found {found}, expected whole numbers). "
        "Fix: resample the mask by nearest neighbor"
    )
