"""A study's trials in Optuna's own storages."""

import optuna
import pytest

from study.scheduling.optuna_trials import storage_url, write_optuna
from tests.study.scheduling.test_scheduler import Bench
from trainables.common.errors import UserError


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path, "factors.pretext.method=[random]", "search.trials=8", "search.parallel=2")
    bench.drain()
    return bench


def opened(path):
    if path.suffix == ".db":
        return storage_url(path)
    return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))


@pytest.mark.parametrize("suffix", [".db", ".log"])
def test_each_cell_is_a_study_with_the_trials_of_the_ledger(bench, tmp_path, suffix):
    path = tmp_path / f"trials{suffix}"
    plan = bench.scheduler.plan
    counts = write_optuna(plan, bench.ledger.events, path)
    assert list(counts.values()) == [8, 8]
    assert sorted(counts) == sorted(optuna.get_all_study_names(opened(path)))
    for cell in plan.cells:
        study = optuna.load_study(study_name=f"{plan.spec.name} · {cell.key}", storage=opened(path))
        state = bench.scheduler.state.cell(cell.key)
        assert [trial.params for trial in study.trials] == [trial.params for trial in state.trials]
        assert [trial.intermediate_values for trial in study.trials] == [trial.reports for trial in state.trials]
        states = {"COMPLETE": "completed", "PRUNED": "stopped"}
        assert [states[trial.state.name] for trial in study.trials] == [state.ended[n].status for n in range(8)]
        assert study.best_trial.number == state.choice.index


def test_a_running_trial_is_running(bench, tmp_path):
    running = [event for event in bench.ledger.events if type(event).__name__ == "TrialAsked"][:1]
    write_optuna(bench.scheduler.plan, running, tmp_path / "trials.db")
    (name,) = optuna.get_all_study_names(storage_url(tmp_path / "trials.db"))
    (trial,) = optuna.load_study(study_name=name, storage=storage_url(tmp_path / "trials.db")).trials
    assert (trial.state.name, trial.datetime_complete) == ("RUNNING", None)


def test_an_unknown_suffix_an_existing_file_and_a_study_without_trials_are_refused(bench, tmp_path):
    plan = bench.scheduler.plan
    with pytest.raises(UserError, match=r"unknown suffix '.csv'"):
        write_optuna(plan, bench.ledger.events, tmp_path / "trials.csv")
    (tmp_path / "there.db").touch()
    with pytest.raises(UserError, match="the file exists"):
        write_optuna(plan, bench.ledger.events, tmp_path / "there.db")
    with pytest.raises(UserError, match="has no trials"):
        write_optuna(plan, [], tmp_path / "none.db")
