"""Tune's adapters translate calls and nothing else; no Ray is started."""

import json
import pickle
import signal
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import create_autospec

import pytest
from job_fakes import FREE, make_driver, make_job
from ray.train._internal import storage
from ray.tune.error import TuneError
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher
from ray.tune.utils.callback import _create_default_callbacks

from study.execution import tune_adapters
from study.execution.errors import ClusterLost
from study.execution.job_driver import JobDriver
from study.execution.node_watch import NodeWatch
from study.execution.trial import TRIAL_MEMORY, parse_config, trial_resources
from study.execution.tune_adapters import (
    STOPPING,
    ClusterHealthCallback,
    JobSearcher,
    NoTrialLines,
    ReportScheduler,
    StopAnnouncement,
    error_of,
)
from study.planning.jobs import ResourceRequest
from study.progress import Progress
from study.scheduling.budget import BudgetSpent, BudgetTracker


def trial(job_id, status="RUNNING", actor=None, error=None):
    return SimpleNamespace(
        trial_id=f"tune-{job_id}",
        config={"id": job_id},
        status=status,
        temporary_state=SimpleNamespace(ray_actor=actor),
        error_file=error,
    )


def test_a_suggestion_is_the_drivers_next_job_as_text(tmp_path):
    job = make_job(resources=ResourceRequest(cpus=2, gpus=0.5))
    driver, _ = make_driver(tmp_path, job)
    searcher = JobSearcher(driver, lambda: FREE)
    config = searcher.suggest("t1")
    assert parse_config(config) == (job, driver.paths)
    assert all(isinstance(value, str) for value in config.values())
    assert trial_resources(config).required_resources == {"CPU": 2.0, "GPU": 0.5}
    assert searcher.suggest("t2") is None  # the first still runs
    driver.scheduler.running.clear()
    assert searcher.suggest("t3") == Searcher.FINISHED


def test_the_head_of_a_worker_group_holds_no_processor(tmp_path):
    driver, _ = make_driver(tmp_path, make_job(resources=ResourceRequest(workers=2, cpus=1)))
    config = JobSearcher(driver, lambda: FREE).suggest("t1")
    assert trial_resources(config).required_resources == {"memory": TRIAL_MEMORY}


def test_a_full_searcher_is_finished(tmp_path, monkeypatch):
    monkeypatch.setattr(tune_adapters, "TRIALS_PER_TUNER", 1)
    driver, scheduler = make_driver(tmp_path, make_job(0), make_job(1))
    searcher = JobSearcher(driver, lambda: FREE)
    assert json.loads(searcher.suggest("t1")["job"])["id"] == "a-trial-0"
    assert searcher.full
    assert searcher.suggest("t2") == Searcher.FINISHED
    assert len(scheduler.waiting) == 1


def test_the_end_of_a_trial_reaches_the_driver_once():
    driver = create_autospec(JobDriver, instance=True)
    searcher = JobSearcher(driver, lambda: FREE)
    searcher._jobs["t1"] = "a-trial-0"
    searcher.on_trial_complete("t1", {"epoch": 3})
    searcher.on_trial_complete("t1", error=True)
    driver.ended.assert_called_once_with("a-trial-0", {"epoch": 3}, error=False)


@pytest.mark.parametrize("stop", [True, False])
def test_reports_and_crashes_are_passed_on(tmp_path, stop):
    driver = create_autospec(JobDriver, instance=True)
    driver.report.return_value = stop
    scheduler, error = ReportScheduler(driver), tmp_path / "error.txt"
    error.write_text("Failure # 1\ndied")
    decision = scheduler.on_trial_result(
        None, trial("a"), {"epoch": 2, "val/dice": 0.5, "trial_id": "x", "done": False}
    )
    assert decision == (TrialScheduler.STOP if stop else TrialScheduler.CONTINUE)
    driver.report.assert_called_once_with("a", 2, {"val/dice": 0.5})
    scheduler.on_trial_error(None, trial("a", error=str(error)))
    (job, cause) = driver.crashed.call_args.args
    assert (job, str(cause)) == ("a", "Failure # 1\ndied")
    scheduler.on_trial_error(None, trial("a"))
    driver.crashed.assert_called_with("a", None)


def test_the_error_of_a_trial_is_known_before_tune_copies_it_to_its_storage(monkeypatch, tmp_path):
    monkeypatch.setattr(storage, "_get_ray_train_session_dir", lambda: str(tmp_path / "session"))
    context = storage.StorageContext(str(tmp_path), "experiment", trial_dir_name="one")
    ended = Trial("__fake", storage=context, stub=True)
    Path(ended.local_path).mkdir(parents=True)
    ended.handle_error(TuneError("the GPU failed"))
    assert "the GPU failed" in str(error_of(ended))


def callback(driver, nodes=None):
    budget = create_autospec(BudgetTracker, instance=True)
    searcher = create_autospec(JobSearcher, instance=True)
    watch = nodes or create_autospec(NodeWatch, instance=True)
    return ClusterHealthCallback(driver, searcher, budget, watch), budget, searcher, watch


def test_every_step_checks_budget_and_stop_reason():
    driver = create_autospec(JobDriver, instance=True)
    driver.stop_reason = None
    driver.progress = create_autospec(Progress, instance=True)
    health, budget, searcher, watch = callback(driver)
    failed = trial("a", status=Trial.ERROR)
    health.on_step_begin(1, [failed, trial("b")])
    health.on_step_begin(2, [failed])
    assert budget.check.call_count == 2
    watch.check.assert_called_once_with()  # not at every step
    searcher.on_trial_complete.assert_called_once_with("tune-a", error=True)
    driver.stop_reason = ClusterLost("lost")
    with pytest.raises(ClusterLost, match="lost"):
        health.on_step_begin(3, [])
    budget.check.side_effect = BudgetSpent("budget.hours (1) is spent")
    with pytest.raises(BudgetSpent):
        health.on_step_begin(4, [])


def test_the_actor_of_a_started_trial_is_registered():
    driver = create_autospec(JobDriver, instance=True)
    health, *_ = callback(driver)
    actor = SimpleNamespace(_actor_id=SimpleNamespace(hex=lambda: "abc"))
    health.on_trial_start(1, [], trial("a", actor=actor))
    health.on_trial_start(1, [], trial("b"))
    driver.register_actor.assert_called_once_with("abc", "a")


def test_tune_prints_no_line_of_a_trial_whatever_its_last_result(capsys):
    ended = create_autospec(Trial, instance=True, last_result={"done": True, "epoch": 1})
    silent = NoTrialLines()
    printers = (each for each in _create_default_callbacks([silent]) if isinstance(each, TrialProgressCallback))
    assert list(printers) == [silent]
    for loud, said in ((TrialProgressCallback(), True), (silent, False)):
        loud._last_result_str[ended] = loud._print_result(ended.last_result)
        loud.on_trial_complete(0, [], ended)
        assert bool(capsys.readouterr().out) is said


def test_tune_may_pickle_the_callback():
    driver = create_autospec(JobDriver, instance=True)
    assert pickle.loads(pickle.dumps(callback(driver)[0])).__dict__ == {}


def test_the_first_interrupt_is_announced_and_passed_on():
    received, progress = [], create_autospec(Progress, instance=True)
    before = signal.signal(signal.SIGINT, lambda *signals: received.append(signals[0]))
    try:
        callback = StopAnnouncement(progress)
        callback.on_step_begin(0, [])
        callback.on_step_begin(1, [])
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    progress.message.assert_called_once_with(STOPPING)
    assert received == [signal.SIGINT]


def test_after_the_jobs_an_interrupt_is_not_announced():
    received, progress = [], create_autospec(Progress, instance=True)
    before = signal.signal(signal.SIGINT, lambda *signals: received.append(signals[0]))
    try:
        callback = StopAnnouncement(progress)
        callback.on_step_begin(0, [])
        callback.on_experiment_end([])
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    progress.message.assert_not_called()
    assert received == [signal.SIGINT]


def test_an_ignored_interrupt_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        StopAnnouncement(create_autospec(Progress, instance=True)).on_step_begin(0, [])
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
