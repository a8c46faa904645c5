import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution

from analysis.stats.fanova import main_effects


def shares(settings: np.ndarray, values: np.ndarray, trees: int = 32) -> np.ndarray:
    bounds = np.tile([0.0, 1.0], (settings.shape[1], 1))
    return main_effects(settings, values, bounds, trees, np.random.default_rng(1))


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_the_shares_are_those_of_optuna() -> None:
    random = np.random.default_rng(0)
    settings = random.random((120, 3))
    values = np.sin(5 * settings[:, 0]) + settings[:, 1] * settings[:, 2] + 0.1 * random.normal(size=120)
    study = optuna.create_study()
    distributions = {f"p{number}": FloatDistribution(0, 1) for number in range(3)}
    for row, value in zip(settings, values, strict=True):
        params = dict(zip(distributions, row.tolist(), strict=True))
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=float(value)))
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=32, max_depth=10, seed=0)
    expected = optuna.importance.get_param_importances(study, evaluator=evaluator, normalize=False)
    np.testing.assert_allclose(shares(settings, values), [expected[name] for name in distributions], atol=0.03)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a line", [4 / 5, 1 / 5, 0]),  # variances 4/12 and 1/12
        ("a product", [3 / 7, 3 / 7, 0]),  # of two uniform settings: 1/48 each of 7/144, the rest is interaction
        ("a step", [1, 0, 0]),
    ],
)
def test_the_shares_approach_those_of_a_known_function(name: str, expected: list[float]) -> None:
    settings = np.random.default_rng(2).random((800, 3))
    x, y, _ = settings.T
    values = {"a line": 2 * x + y, "a product": x * y, "a step": 1.0 * (x > 0.3)}[name]
    np.testing.assert_allclose(shares(settings, values), expected, atol=0.03)


def test_the_box_of_settings_counts_not_where_the_trials_are() -> None:
    """A step at 0.1 of a range has 0.1 * 0.9 of its squared height as variance, however many trials are below it."""
    random = np.random.default_rng(0)
    settings = np.column_stack(
        [np.concatenate([random.uniform(0, 0.1, 150), random.uniform(0.1, 1, 50)]), random.random(200)]
    )
    values = 1.0 * (settings[:, 0] < 0.1) + 0.3 * (settings[:, 1] < 0.5)
    step, half = 0.09, 0.09 * 0.25
    np.testing.assert_allclose(shares(settings, values), [step / (step + half), half / (step + half)], atol=0.04)


def test_a_choice_is_one_setting_whatever_the_order_of_its_values() -> None:
    random = np.random.default_rng(0)
    codes = random.integers(3, size=200)
    settings = np.column_stack([codes, random.random(200)])
    bounds = np.array([[-0.5, 2.5], [0, 1]])
    values = np.array([0.0, 1.0, 0.0])[codes] + settings[:, 1]
    found = main_effects(settings, values, bounds, 32, np.random.default_rng(1), choices=[0])
    choice, line = 2 / 9, 1 / 12
    np.testing.assert_allclose(found, [choice / (choice + line), line / (choice + line)], atol=0.04)


def test_constant_values_have_no_shares() -> None:
    assert shares(np.random.default_rng(0).random((20, 2)), np.ones(20)).tolist() == [0, 0]
