import pytest

from study.planning.jobs import Outcome
from study.scheduling.objectives import objective_values


@pytest.mark.parametrize(
    ("outcome", "objectives", "expected"),
    [
        (Outcome("completed", {"val/dice": 0.8}, 3, 1800.0), ("val/dice",), [0.8]),
        (Outcome("completed", {"val/dice": 0.8}, 3, 1800.0), ("val/dice", "seconds", "gpu_hours"), [0.8, 1800.0, 1.0]),
        (Outcome("completed", {}, 3, 1.0), ("val/dice",), None),
        (Outcome("stopped", {"val/dice": 0.8}, 3, 1.0), ("val/dice",), None),
        (Outcome("failed", {"val/dice": 0.8}, 3, 1.0), ("val/dice",), None),
    ],
)
def test_only_a_completed_trial_with_every_metric_has_values(outcome, objectives, expected):
    assert objective_values(outcome, objectives, gpus=2) == expected
