"""The job driver without Ray: starts, reports, crashes, restarts and ends."""

import errno
import os
import pickle
from dataclasses import asdict, replace

import pytest
from job_fakes import FREE, make_driver, make_job

from study.execution.device import NO_GPU
from study.execution.errors import ClusterLost, FolderNotShared, GpuFailed, SharedGpuFull, StorageFull
from study.execution.execute import read_outcome
from study.execution.job_driver import JobState
from study.execution.restart_policy import MAX_CRASHES
from study.planning.jobs import Outcome, ResourceRequest
from study.storage.events import JobFinished
from study.storage.workspace import StudyFolder
from trainables.common.files import write_json

CRASH = RuntimeError("the actor died")
MEMORY = """1 worker(s) were killed due to the node running low on memory.
Selected to kill: (Actor({actor}): job ID=01, task name=A, pid=8687, actual memory used=5.06GB, x)
"""


def write_outcome(root, job, status="completed"):
    outcome = Outcome(status, {"val/dice": 0.8}, 4, 1.0, None if status == "completed" else "diverged")
    folder = StudyFolder(root).job(job.id)
    folder.root.mkdir(parents=True, exist_ok=True)
    write_json(folder.result, asdict(outcome))
    return outcome


def start(driver):
    return driver.next_job(lambda: FREE)


def test_a_started_job_is_announced_and_its_outcome_on_disk_is_recorded(tmp_path):
    job = make_job()
    driver, scheduler = make_driver(tmp_path, job)
    assert start(driver) == job
    assert scheduler.asked == [FREE]
    driver._tracker.job_started.assert_called_once_with(job)
    driver.progress.job_started.assert_called_once_with(job.id, job.label, 4)
    outcome = write_outcome(tmp_path, job)
    driver.ended(job.id, None, error=False)
    assert scheduler.outcomes == {job.id: outcome}
    driver._tracker.job_finished.assert_called_once_with(job, outcome)
    assert not driver.started
    driver.ended(job.id, None, error=True)  # Tune may say it twice
    assert scheduler.outcomes == {job.id: outcome}


def test_the_verdict_on_a_pretraining_of_an_earlier_study_is_recorded_and_printed_once(tmp_path):
    made, other = "1" * 64, "2" * 64
    jobs = [make_job(number, inputs={"pretext": made, "pseudo_labels": other}) for number in range(2)]
    driver, scheduler = make_driver(tmp_path, *jobs)
    learning = {
        "verdict": "weak",
        "reason": "matched views 5.0%; uniformity -1.2",
        "advice": "train longer",
        "skill": 0.2,
    }
    driver._artifacts.put(made, {"job": "pretext-simclr-111111", "learning": learning})
    driver._artifacts.put(other, {"job": "registration-222222"})
    assert [start(driver), start(driver)] == jobs
    driver.progress.job_reused.assert_called_once_with(
        "pretext-simclr-111111", "weak: matched views 5.0%. Fix: train longer"
    )
    assert list(scheduler.state.reused) == [made]
    assert scheduler.state.reused[made].learning.verdict == "weak"


def test_a_pretraining_of_this_study_whose_process_has_not_ended_yet_is_not_reused(tmp_path):
    pretraining = make_job(0)
    reader = make_job(1, inputs={"pretext": pretraining.digest})
    driver, scheduler = make_driver(tmp_path, pretraining, reader)
    learning = {"verdict": "learned", "reason": "", "advice": "", "skill": 1.0}
    start(driver)
    driver._artifacts.put(pretraining.digest, {"job": pretraining.id, "learning": learning})
    assert start(driver) == reader
    driver.progress.message.assert_not_called()
    assert not scheduler.state.reused


def test_a_pretraining_whose_end_was_lost_with_the_driver_is_recorded(tmp_path):
    pretraining, reader = make_job(0, "pretext", cell=None), make_job(1)
    driver, scheduler = make_driver(tmp_path, reader)
    scheduler.sources[reader.id] = [pretraining]
    driver._artifacts.put(pretraining.digest, {"job": pretraining.id})
    outcome = write_outcome(tmp_path, pretraining)
    assert start(driver) == reader
    assert scheduler.outcomes == {pretraining.id: outcome}
    driver._tracker.job_finished.assert_called_once_with(pretraining, outcome)


def test_the_pretraining_of_another_study_is_not_recorded_as_one_of_this(tmp_path):
    pretraining, reader = make_job(0, "pretext", cell=None), make_job(1)
    driver, scheduler = make_driver(tmp_path, reader)
    scheduler.sources[reader.id] = [pretraining]
    driver._artifacts.put(pretraining.digest, {"job": pretraining.id})
    assert start(driver) == reader
    assert scheduler.outcomes == {}


def test_a_pruned_job_ends_as_stopped_with_its_last_validation_metrics(tmp_path):
    job = make_job()
    driver, scheduler = make_driver(tmp_path, job, stop_at={job.id: 2})
    start(driver)
    assert not driver.report(job.id, 1, {"val/dice": 0.5})
    assert driver.report(job.id, 2, {"val/dice": 0.4})
    assert driver.started[job.id].state is JobState.STOPPING
    last = {"val/dice": 0.4, "loss": 1.0, "epoch": 2, "time_total_s": 3.0}
    driver.ended(job.id, last, error=False)
    assert scheduler.outcomes[job.id] == Outcome("stopped", {"val/dice": 0.4}, 2, 3.0)


def test_a_corrected_end_is_sent_and_printed_once(tmp_path):
    job, other = make_job(0), make_job(1)
    driver, scheduler = make_driver(tmp_path, job, other)
    scheduler.known[job.id] = job
    end = JobFinished(job.id, "trial", "cell", 0, {}, job.digest, Outcome("stopped", {"val/dice": 0.4}, 2, 3.0))
    scheduler.corrected.append(end)
    start(driver)
    start(driver)
    driver._tracker.job_corrected.assert_called_once_with(job, end)
    driver.progress.message.assert_called_once_with(
        f"stopped   {job.label}: had ended before it could be compared; stopped at epoch 2"
    )


def test_a_crashed_job_is_restarted_before_new_jobs_and_fails_after_too_many_crashes(tmp_path):
    first, second = make_job(0), make_job(1)
    driver, scheduler = make_driver(tmp_path, first, second)
    assert start(driver) == first
    driver.report(first.id, 1, {})
    for crash in range(1, MAX_CRASHES):
        driver.crashed(first.id, CRASH)
        driver.ended(first.id, None, error=True)
        assert driver.started[first.id].state is JobState.RESTARTING, crash
        assert not driver.interrupted
        assert start(driver) == first
        assert driver.started[first.id].state is JobState.RUNNING
        assert driver.interrupted
    driver.crashed(first.id, CRASH)
    driver.ended(first.id, None, error=True)
    assert scheduler.outcomes[first.id].status == "failed"
    assert "crashed 3 times" in scheduler.outcomes[first.id].reason
    assert start(driver) == second


def test_a_crash_after_a_new_epoch_counts_anew(tmp_path):
    job = make_job()
    driver, _ = make_driver(tmp_path, job)
    start(driver)
    for epoch in range(1, 2 * MAX_CRASHES):
        driver.report(job.id, epoch, {})
        driver.crashed(job.id, CRASH)
        driver.ended(job.id, None, error=True)
        assert driver.started[job.id].state is JobState.RESTARTING
        start(driver)


def test_a_process_that_died_after_its_outcome_was_written_is_not_restarted(tmp_path):
    job = make_job()
    driver, scheduler = make_driver(tmp_path, job)
    start(driver)
    driver.report(job.id, 4, {})
    outcome = write_outcome(tmp_path, job)
    driver.crashed(job.id, CRASH)
    driver.ended(job.id, None, error=True)
    assert scheduler.outcomes == {job.id: outcome}


@pytest.mark.parametrize(
    ("crash", "said"), [(CRASH, "crashed 3 times"), (RuntimeError(f"...\nGpuFailed: {NO_GPU}"), "torch finds no GPU")]
)
def test_processes_that_crash_before_any_report_stop_the_sweep(tmp_path, crash, said):
    job = make_job()
    driver, scheduler = make_driver(tmp_path, job)
    start(driver)
    for _ in range(MAX_CRASHES):
        driver.crashed(job.id, crash)
        driver.ended(job.id, None, error=True)
        if driver.stop_reason is None:
            start(driver)
    assert isinstance(driver.stop_reason, ClusterLost)
    assert "crash at start-up" in str(driver.stop_reason)
    assert said in str(driver.stop_reason)
    assert not scheduler.outcomes


def test_a_worker_group_that_fails_before_any_report_is_a_failed_job(tmp_path):
    job = make_job(resources=ResourceRequest(workers=2))
    driver, scheduler = make_driver(tmp_path, job)
    start(driver)
    outcome = write_outcome(tmp_path, job, "failed")
    driver.crashed(job.id, RuntimeError("Training failed due to worker errors: diverged"))
    driver.ended(job.id, None, error=True)
    assert driver.stop_reason is None
    assert scheduler.outcomes == {job.id: outcome}


def test_a_full_disk_stops_the_sweep_and_names_the_fix(tmp_path):
    job = make_job()
    driver, _ = make_driver(tmp_path, job)
    start(driver)
    driver.crashed(job.id, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert isinstance(driver.stop_reason, StorageFull)
    assert str(driver.stop_reason).endswith("Fix: free space, then run the same command again.")
    assert job.id in str(driver.stop_reason)


def crash_with(driver, job, error):
    """Let a job's process end with an error as Ray passes it on: as text."""
    text = f"ray::ImplicitFunc.train() (pid=1)\n  File ...\nstudy.execution.errors.{type(error).__name__}: {error}"
    driver.crashed(job.id, RuntimeError(text))
    driver.ended(job.id, None, error=True)


def test_a_node_without_the_shared_folder_ends_the_sweep(tmp_path):
    job = make_job()
    driver, scheduler = make_driver(tmp_path, job)
    start(driver)
    crash_with(driver, job, FolderNotShared("/runs: not shared by all nodes of the cluster. Fix: x"))
    assert isinstance(driver.stop_reason, FolderNotShared)
    assert str(driver.stop_reason) == "/runs: not shared by all nodes of the cluster. Fix: x"
    assert scheduler.outcomes == {}


def test_a_gpu_that_fails_restarts_the_job_and_is_the_reason_in_the_end(tmp_path):
    job = make_job(resources=ResourceRequest(gpus=1))
    driver, scheduler = make_driver(tmp_path, job)
    for _ in range(MAX_CRASHES):
        assert start(driver) == job
        crash_with(driver, job, GpuFailed("the GPU failed: CUDA error: an illegal memory access was encountered"))
    assert driver.stop_reason is None  # not the cluster's fault, although no job has reported
    reason = "its process crashed 3 times (the GPU failed: CUDA error: an illegal memory access was encountered); see"
    assert scheduler.outcomes[job.id].reason.startswith(reason)


def test_a_job_that_runs_out_of_memory_on_a_shared_gpu_runs_again_alone(tmp_path):
    job = make_job(resources=ResourceRequest(gpus=0.25))
    driver, scheduler = make_driver(tmp_path, job)
    start(driver)
    crash_with(driver, job, SharedGpuFull("out of memory on a shared GPU: CUDA out of memory."))
    again = start(driver)
    assert again == replace(job, resources=ResourceRequest(gpus=1))
    assert scheduler.running == {job.id: again}
    outcome = write_outcome(tmp_path, job, "failed")
    driver.ended(job.id, None, error=False)
    assert scheduler.outcomes == {job.id: outcome}


def test_of_killed_processes_the_largest_fails_and_all_others_restart(tmp_path):
    large, small = make_job(0), make_job(1)
    driver, scheduler = make_driver(tmp_path, large, small)
    start(driver)
    start(driver)
    for actor, job in (("aa", large), ("bb", small)):
        driver.register_actor(actor, job.id)
        driver.report(job.id, 1, {})
    driver.processes_killed(RuntimeError(MEMORY.format(actor="aa")))
    assert scheduler.outcomes[large.id].status == "failed"
    assert "out of memory on its node (its process had 5.1 GB)" in scheduler.outcomes[large.id].reason
    assert driver.started[small.id].state is JobState.RESTARTING
    assert start(driver) == small


def test_an_end_without_outcome_is_a_failure(tmp_path):
    job = make_job()
    driver, scheduler = make_driver(tmp_path, job)
    start(driver)
    driver.report(job.id, 1, {})
    driver.ended(job.id, None, error=False)
    assert "without an outcome" in scheduler.outcomes[job.id].reason


def test_tune_may_pickle_it(tmp_path):
    driver, _ = make_driver(tmp_path, make_job())
    assert pickle.loads(pickle.dumps(driver)).__dict__ == {}


def test_a_shared_job_whose_artifact_is_lost_runs_anew_instead_of_ending_with_its_old_outcome(tmp_path):
    job = make_job(0, kind="pretext", cell=None)
    driver, _ = make_driver(tmp_path, job)
    write_outcome(tmp_path, job)
    start(driver)
    assert read_outcome(StudyFolder(tmp_path).job(job.id)) is None


def test_a_shared_job_that_failed_while_no_driver_ran_keeps_its_outcome(tmp_path):
    job = make_job(0, kind="pretext", cell=None)
    driver, scheduler = make_driver(tmp_path, job)
    outcome = write_outcome(tmp_path, job, "failed")
    start(driver)
    driver.ended(job.id, None, error=False)
    assert scheduler.outcomes == {job.id: outcome}
