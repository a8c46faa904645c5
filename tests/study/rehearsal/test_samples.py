import pytest

from study.config.ranges import Choice, Int, LogUniform, Uniform
from study.rehearsal.samples import explain, samples


def test_sizes_are_largest_and_rates_in_the_middle():
    space = {"batch": Choice((8, 32, 16)), "depth": Int(2, 5), "lr": LogUniform(1e-4, 1e-2), "drop": Uniform(0, 1)}
    (only,) = samples(space)
    assert only == {"batch": 32, "depth": 5, "lr": pytest.approx(1e-3), "drop": 0.5}


def test_every_category_is_tried_with_the_largest_sizes():
    space = {"norm": Choice(("batch", "none", None)), "flag": Choice((True, False)), "width": Choice((8, 16))}
    found = samples(space)
    assert [each["norm"] for each in found if each["flag"]] == ["batch", "none", None]
    assert {"norm": "batch", "flag": False, "width": 16} in found
    assert len(found) == 4


def test_a_category_behind_a_condition_is_reached():
    space = {"method": Choice(("a", "b")), "b.kind": Choice(("x", "y"), when={"method": "b"})}
    assert samples(space) == [{"method": "a"}, {"method": "b", "b.kind": "x"}, {"method": "b", "b.kind": "y"}]


def test_no_space_is_one_configuration():
    assert samples({}) == [{}]


def test_the_explanation_says_what_was_taken():
    space = {"batch": Choice((8, 16)), "norm": Choice(("batch", "none")), "lr": LogUniform(1e-4, 1e-2)}
    assert explain(space) == [
        "batch: 16, the largest of 8, 16",
        "norm: each of batch, none",
        "lr: 0.001, the middle",
    ]
