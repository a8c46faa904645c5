import pytest

from trainables.data.settings import DataSettings
from trainables.phantom import PhantomSettings


@pytest.mark.parametrize(
    "wrong",
    [
        {"image_size": 4},
        {"stride": -1},
        {"tolerance": 1.5},
        {"fractions": (0.0, 0.0, 0.0)},
        {"fractions": (1.2, -0.1, -0.1)},
        {"path": "x", "phantom": PhantomSettings()},
    ],
)
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=r"expected|either"):
        DataSettings(**wrong)
