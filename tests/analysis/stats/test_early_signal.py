"""The early signal of a search against scipy's Kendall's tau of the same numbers."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest
from scipy.stats import kendalltau

from analysis.stats.early_signal import early_signal
from study.storage.workspace import Workspace

PROBES = [0.80, 0.82, 0.78, 0.84, 0.83, 0.70]
FINALS = [0.81, 0.80, 0.75, 0.86, 0.85, 0.71]


def searched(root, probes, finals, stopped=2, shared=()):
    """Return the results of a search: one pretraining a trial, but for trials that share the first one's."""
    folder = Workspace(root).study("mine")
    digests = [f"{number:012x}" + "0" * 52 for number in range(len(probes))]
    starts = [*digests, *[digests[0]] * len(shared)]
    for number, digest in enumerate(starts):
        config = folder.job(f"t{number}").config
        config.parent.mkdir(parents=True)
        config.write_text(json.dumps({"inputs": {"pretext": digest}}))
    values = [*finals, *shared]
    trials = {"id": [f"t{n}" for n in range(len(values))], "status": "completed", "val/dice": values}
    ended = pd.DataFrame({"id": ["s"] * stopped, "status": "stopped", "val/dice": None})
    tables = {
        "trial": pd.concat([pd.DataFrame(trials), ended], ignore_index=True).astype({"val/dice": float}),
        "pretext": pd.DataFrame({"id": [f"pretext-simclr-{d[:12]}" for d in digests], "val/probe_dice": probes}),
    }
    return SimpleNamespace(folder=folder, plan=SimpleNamespace(metric="dice"), of_kind=tables.__getitem__)


def test_it_is_kendalls_tau_over_pretrainings(tmp_path):
    found = early_signal(searched(tmp_path, PROBES, FINALS))
    tau, p_value = kendalltau(PROBES, FINALS)
    assert (found.tau, found.p_value, found.trials, found.stopped) == (pytest.approx(tau), pytest.approx(p_value), 6, 2)
    assert (
        "tau of probe Dice and final validation metric is +0.87 (p = 0.02) over 6 completed trials; 2 were stopped"
        in (found.sentence)
    )
    assert "not shown" not in found.sentence


def test_trials_that_share_a_pretraining_count_once_by_their_best(tmp_path):
    best = early_signal(searched(tmp_path, PROBES, FINALS, shared=(0.99, 0.1)))
    assert best.trials == 6
    assert best.tau == pytest.approx(kendalltau(PROBES, [0.99, *FINALS[1:]])[0])


@pytest.mark.parametrize(
    ("finals", "remark"),
    [([0.5, 0.9, 0.6, 0.4, 0.7, 0.55], "is not shown"), ([-value for value in PROBES], "Do not stop pretrainings")],
)
def test_a_poor_signal_is_called_one(tmp_path, finals, remark):
    assert remark in early_signal(searched(tmp_path, PROBES, finals)).sentence


def test_nothing_is_said_of_too_few_pretrainings_or_without_a_probe(tmp_path):
    assert early_signal(searched(tmp_path / "few", PROBES[:4], FINALS[:4])) is None
    without = searched(tmp_path / "none", PROBES, FINALS)
    tables = {"trial": without.of_kind("trial"), "pretext": without.of_kind("pretext")[["id"]]}
    assert early_signal(SimpleNamespace(**{**vars(without), "of_kind": tables.__getitem__})) is None
