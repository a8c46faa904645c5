import pytest

from trainables.phantom import PhantomSettings


@pytest.mark.parametrize(
    ("field", "value"), [("subjects", 0), ("frames", 7), ("size", 31), ("slices", 3), ("fractions", (0, 0, 0))]
)
def test_settings_out_of_range_are_named(field, value):
    with pytest.raises(ValueError, match=field):
        PhantomSettings(**{field: value})
