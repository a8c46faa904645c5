"""Tests of the state machine of a job's MLflow run."""

import pytest
from fake_mlflow import ended, new_job

from study.tracking.job_run import JobRun, RunState
from study.tracking.record import RunRecord

JOB = new_job()
END = ended(JOB)


@pytest.mark.parametrize(
    ("record", "state"),
    [
        (None, RunState.PENDING),
        (RunRecord("r", JOB.digest), RunState.PENDING),
        (RunRecord("r", JOB.digest, closed=True), RunState.CLOSED),
        (RunRecord("r", "another", closed=True), RunState.SUPERSEDED),
        (RunRecord("r", "another"), RunState.SUPERSEDED),
    ],
)
def test_a_stored_record_determines_the_first_state(record, state):
    assert JobRun.resume(JOB, record).state is state


def test_a_job_passes_through_all_states():
    run = JobRun.resume(JOB, None)
    run.open("r")
    assert (run.state, run.record) == (RunState.OPEN, RunRecord("r", JOB.digest))
    run.advance(10, 2)
    run.finish(END)
    assert (run.state, run.waiting) == (RunState.CLOSING, True)
    assert run.close() == RunRecord("r", JOB.digest, sent=10, epoch=2, closed=True)
    assert (run.state, run.waiting) == (RunState.CLOSED, False)


def test_a_job_that_ends_before_its_run_is_open_goes_straight_to_closing():
    run = JobRun.resume(JOB, None)
    run.finish(END)
    assert run.state is RunState.PENDING
    run.open("r")
    assert run.state is RunState.CLOSING


def test_a_reopened_run_keeps_its_progress():
    run = JobRun.resume(JOB, RunRecord("r", JOB.digest, sent=40, epoch=4))
    run.open("r")
    assert run.record == RunRecord("r", JOB.digest, sent=40, epoch=4)


def test_a_superseded_run_is_dropped_before_another_is_opened():
    run = JobRun.resume(JOB, RunRecord("old", "another", sent=40))
    with pytest.raises(ValueError, match="found state SUPERSEDED, expected PENDING"):
        run.open("new")
    run.drop_superseded()
    run.open("new")
    assert run.record == RunRecord("new", JOB.digest)


def test_the_end_of_a_closed_run_changes_nothing():
    run = JobRun.resume(JOB, RunRecord("r", JOB.digest, closed=True))
    run.finish(END)
    assert (run.state, run.waiting, run.orphaned) == (RunState.CLOSED, False, False)


def test_a_corrected_end_closes_the_run_again():
    run = JobRun.resume(JOB, RunRecord("r", JOB.digest, closed=True))
    run.correct(END)
    assert (run.state, run.ended) == (RunState.CLOSING, END)
    early = JobRun.resume(JOB, None)
    early.correct(END)
    assert early.state is RunState.PENDING


def test_only_an_open_run_without_an_end_is_orphaned():
    run = JobRun.resume(JOB, None)
    assert not run.orphaned
    run.open("r")
    assert run.orphaned
    run.finish(END)
    assert not run.orphaned


def test_a_transition_out_of_order_is_an_error():
    run = JobRun.resume(JOB, None)
    with pytest.raises(ValueError, match="expected OPEN or CLOSING"):
        run.advance(1, 1)
    with pytest.raises(ValueError, match="expected CLOSING"):
        run.close()
