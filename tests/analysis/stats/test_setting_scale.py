import numpy as np
import pandas as pd
import pytest

from analysis.stats.setting_scale import setting_scale
from study.config.ranges import Choice, Int, LogUniform, Uniform

NOTHING = pd.Series([], dtype=float)


def test_a_logarithmic_range_is_halved_at_its_geometric_mean() -> None:
    scale = setting_scale("lr", NOTHING, {"lr": LogUniform(1e-5, 1e-1)})
    np.testing.assert_allclose(scale.fraction([1e-5, 1e-3, 1e-1]), [0, 0.5, 1])
    assert scale.ticks()[1] == (pytest.approx(1e-3), "0.001")


def test_choices_keep_their_order_and_are_told_apart() -> None:
    scale = setting_scale("x", NOTHING, {"x": Choice((64, 16, True, None, "adam"))})
    assert scale.names == ("64", "16", "True", "null", "adam")
    np.testing.assert_array_equal(scale.place([64.0, 1, True, "adam", None, 3]), [0, np.nan, 2, 4, 3, np.nan])
    assert scale.bounds == (-0.5, 4.5)


@pytest.mark.parametrize("searched", [Uniform(0.0, 2.0), Int(0, 2)])
def test_a_range_is_shown_whole_and_with_values_outside_it(searched: Uniform | Int) -> None:
    assert setting_scale("x", pd.Series([0.5, 1.0]), {"x": searched}).bounds == (0, 2)
    assert setting_scale("x", pd.Series([0.5, 3.0]), {"x": searched}).bounds == (0, 3)


def test_a_value_that_is_no_choice_is_added_to_them() -> None:
    assert setting_scale("x", pd.Series([8, 16]), {"x": Choice((16, 32))}).names == ("16", "32", "8")


def test_without_a_plan_the_trials_give_the_scale() -> None:
    assert setting_scale("x", pd.Series([3, 1, 2]), {}).bounds == (1, 3)
    assert setting_scale("x", pd.Series(["b", "a", None]), {}).names == ("a", "b")
    assert setting_scale("x", pd.Series([True, False]), {}).names == ("False", "True")


def test_a_single_value_is_in_the_middle() -> None:
    assert setting_scale("x", pd.Series([3.0]), {}).fraction([3.0]).tolist() == [0.5]
