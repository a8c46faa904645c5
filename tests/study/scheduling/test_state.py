"""The reducer, by events written by hand."""

import pytest

from study.planning.jobs import Outcome
from study.scheduling.state import StudyState
from study.storage.events import (
    CellReopened,
    ConfigurationChosen,
    EpochReported,
    JobFinished,
    JobRetried,
    ProbeReported,
    TimeSpent,
    TrialAsked,
)

ASKED = [TrialAsked("a", index, {"lr": index / 10}, {"attr": index}) for index in range(3)]


def finished(
    kind: str, index: int, status: str = "completed", *, cell: str | None = "a", **params: float
) -> JobFinished:
    reason = "diverged" if status == "failed" else None
    outcome = Outcome(status, {"val/dice": 0.5}, 3, 2.0, reason)
    return JobFinished(f"{cell}-{kind}-{index}", kind, cell, index, params, f"digest-{kind}-{index}", outcome)


def test_a_trial_keeps_its_proposal_and_its_reports_by_epoch():
    reports = [EpochReported("a-trial-0", "a", 0, 1, 0.3), EpochReported("a-trial-0", "a", 0, 2, 0.4)]
    state = StudyState.replay([ASKED[0], *reports, ProbeReported("a", 0, 5, 0.1)])
    (trial,) = state.cells["a"].trials
    assert (trial.params, trial.system_attrs) == ({"lr": 0.0}, {"attr": 0})
    assert (trial.reports, trial.last_epoch) == ({1: 0.3, 2: 0.4}, 2)
    assert (trial.probe_reports, trial.last_probe_epoch) == ({5: 0.1}, 5)


def test_a_new_trial_has_no_reports():
    state = StudyState.replay([ASKED[0], EpochReported("a-trial-0", "a", 0, 1, 0.3), ASKED[1]])
    assert (state.cells["a"].trials[1].last_epoch, state.cells["a"].trials[1].last_probe_epoch) == (0, 0)


def test_trials_end_in_the_order_of_their_events():
    state = StudyState.replay([*ASKED, finished("trial", 2), finished("trial", 0, "stopped")])
    assert list(state.cells["a"].ended) == [2, 0]
    assert state.cells["a"].ended[0].status == "stopped"
    assert set(state.outcomes) == {"a-trial-0", "a-trial-2"}


def test_a_retried_trial_is_open_again_with_its_proposal_and_without_reports():
    failed = finished("trial", 0, "failed")
    state = StudyState.replay([ASKED[0], EpochReported("a-trial-0", "a", 0, 1, 0.3), failed, JobRetried.of(failed)])
    assert state == StudyState.replay([ASKED[0]])


def test_a_failed_shared_job_is_a_failure_until_it_is_retried():
    failed = finished("pretext", 0, "failed", cell=None)
    state = StudyState.replay([failed])
    assert state.failures == {"digest-pretext-0": failed.job}
    state.apply(JobRetried.of(failed))
    assert state == StudyState()
    assert StudyState.replay([finished("pretext", 0, cell=None)]).failures == {}
    assert StudyState.replay([finished("trial", 0, "failed")]).failures == {}


def test_a_new_choice_drops_the_replicates_of_the_former_one():
    first, second = ConfigurationChosen("a", 0, {"lr": 0.1}), ConfigurationChosen("a", 1, {"lr": 0.2})
    ran = [finished("trial", 0, lr=0.1), finished("replicate", 0, lr=0.1), finished("replicate", 0, cell="b", lr=0.1)]
    state = StudyState.replay([first, *ran])
    assert state.cells["a"].choice == first
    assert set(state.outcomes) == {"a-trial-0", "a-replicate-0", "b-replicate-0"}
    state.apply(CellReopened("a"))
    assert state.cells["a"].choice is None
    assert "a-replicate-0" in state.outcomes
    state.apply(first)
    assert "a-replicate-0" in state.outcomes
    state.apply(second)
    assert set(state.outcomes) == {"a-trial-0", "b-replicate-0"}


def test_a_choice_looks_at_the_replicates_of_its_cell_alone(monkeypatch):
    looked_at: list[str | None] = []
    monkeypatch.setattr(ConfigurationChosen, "supersedes", lambda choice, end: bool(looked_at.append(end.cell)))
    ends = [finished("replicate", index, cell=cell) for cell in "abc" for index in range(2)]
    StudyState.replay([*ends, finished("trial", 0), ConfigurationChosen("b", None, {})])
    assert looked_at == ["b", "b"]


def test_time_adds_up():
    state = StudyState.replay([TimeSpent(60.0, 30.0), TimeSpent(10.0, 0.0)])
    assert (state.seconds, state.gpu_seconds) == (70.0, 30.0)


@pytest.mark.parametrize("cut", range(6))
def test_a_state_continued_from_any_prefix_is_that_of_all_events(cut):
    failed = finished("trial", 0, "failed")
    choice = ConfigurationChosen("a", 1, {"lr": 0.1})
    events = [ASKED[0], failed, JobRetried.of(failed), ASKED[1], choice, TimeSpent(1.0, 1.0)]
    state = StudyState.replay(events[:cut])
    for event in events[cut:]:
        state.apply(event)
    assert state == StudyState.replay(events)
