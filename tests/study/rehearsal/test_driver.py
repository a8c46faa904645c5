"""The driver of a rehearsal: one job at a time, and a crash that is the job's own fails the job alone."""

from job_fakes import FREE, FakeScheduler, make_driver, make_job

from study.execution.errors import ClusterLost
from study.execution.restart_policy import MAX_CRASHES
from study.planning.jobs import Outcome
from study.rehearsal.driver import RehearsalDriver
from study.storage.workspace import StudyFolder
from trainables.common.files import write_json


def driver_of(root, *jobs) -> tuple[RehearsalDriver, FakeScheduler]:
    driver, scheduler = make_driver(root, *jobs)
    driver.__class__ = RehearsalDriver
    return driver, scheduler


def crash(driver, job) -> None:
    for _ in range(MAX_CRASHES):
        driver.crashed(job.id, RuntimeError("the actor died"))
        driver.ended(job.id, None, error=True)
        driver.next_job(lambda: FREE)


def test_the_next_job_waits_for_the_one_before(tmp_path):
    first, second = make_job(0), make_job(1)
    driver, _ = driver_of(tmp_path, first, second)
    assert driver.next_job(lambda: FREE) == first
    assert driver.next_job(lambda: FREE) is None
    driver._finish(first, Outcome("completed", {}, 2, 1.0))
    assert driver.next_job(lambda: FREE) == second


def test_a_process_that_dies_in_the_first_job_fails_it_and_the_others_run(tmp_path):
    first, second = make_job(0), make_job(1)
    driver, scheduler = driver_of(tmp_path, first, second)
    driver.next_job(lambda: FREE)
    folder = StudyFolder(tmp_path).job(first.id)
    folder.root.mkdir(parents=True, exist_ok=True)
    write_json(folder.config, first.plain())  # as `execute` does when it begins
    crash(driver, first)
    assert driver.stop_reason is None
    assert scheduler.outcomes[first.id].status == "failed"
    assert list(driver.started) == [second.id]


def test_processes_that_never_begin_are_the_clusters_fault(tmp_path):
    job = make_job()
    driver, _ = driver_of(tmp_path, job)
    driver.next_job(lambda: FREE)
    crash(driver, job)
    assert isinstance(driver.stop_reason, ClusterLost)
