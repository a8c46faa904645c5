import pytest

from trainables.common.errors import UserError
from trainables.common.registry import Registry


def test_a_miss_suggests_the_nearest_name():
    methods = Registry("pretext method", {"simclr": 1, "byol": 2})
    with pytest.raises(UserError, match=r"unknown pretext method 'simclrr'; did you mean 'simclr'\?"):
        methods["simclrr"]
    with pytest.raises(UserError, match="known: byol, simclr"):
        methods["xyz"]


def test_adding_makes_a_name_available_once():
    methods = Registry("pretext method", {"simclr": 1})
    methods.add("toy", 3)
    assert methods["toy"] == 3
    assert list(methods) == ["simclr", "toy"]
    assert "toy" in methods
    with pytest.raises(ValueError, match="already registered"):
        methods.add("toy", 4)
