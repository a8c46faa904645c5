import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from optuna import create_study
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from analysis.stats.pareto import pareto_front


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 2), min_size=1, max_size=12))
def test_the_front_is_optunas(points):
    study = create_study(directions=["minimize", "minimize"])
    for number, values in enumerate(points):
        space = {"x": FloatDistribution(0, 100)}
        study.add_trial(create_trial(params={"x": number}, distributions=space, values=[float(v) for v in values]))
    expected = {trial.params["x"] for trial in study.best_trials}
    assert set(np.flatnonzero(pareto_front(np.array(points)))) == expected
