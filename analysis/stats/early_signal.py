"""Agreement of the probe of a pretraining with its fine-tuning: the early signal of a search."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pandas as pd
from scipy.stats import kendalltau

from analysis.io.load import StudyResults
from analysis.io.pretrainings import WEIGHTS

PROBE = "val/probe_dice"
MIN_TRIALS = 5
"""Least number of completed trials, each with a pretraining of its own, from which an order is compared."""

HINT = 0.05
"""p-value of Kendall's tau above which the order of so few trials may be due to chance."""


@dataclass(frozen=True)
class EarlySignal:
    """Agreement of probe and fine-tuning over a search.

    Attributes:
        tau: Kendall's tau between the probe Dice of the pretrainings and the validation metric of their trials.
        p_value: p-value of a tau of zero.
        trials: number of completed trials.
        stopped: number of trials that were stopped early, which are not among them.
    """

    tau: float
    p_value: float
    trials: int
    stopped: int

    @property
    def sentence(self) -> str:
        """Conclusion in one sentence, with what it rests on."""
        text = (
            f"The probe's early signal: Kendall's tau of probe Dice and final validation metric is {self.tau:+.2f} "
            f"(p = {self.p_value:.2f}) over {self.trials} completed trials; {self.stopped} were stopped early"
        )
        if self.p_value > HINT:
            return f"{text}. That the probe orders pretrainings as fine-tuning does is not shown."
        return f"{text}." if self.tau > 0 else f"{text}. Do not stop pretrainings by this probe."


def early_signal(results: StudyResults) -> EarlySignal | None:
    """Return how a search's probe agrees with its trials; None where too few pretrainings have both.

    Trials that share a pretraining count once, by their best value.

    Args:
        results: results of the study.
    """
    trials, metric = results.of_kind("trial"), f"val/{results.plan.metric}"
    pretext = results.of_kind("pretext")
    if PROBE not in pretext or metric not in trials:
        return None
    probes = {str(job).rpartition("-")[2]: value for job, value in zip(pretext["id"], pretext[PROBE], strict=True)}
    done = trials[trials["status"] == "completed"]
    starts = [_start(results, job) for job in done["id"]]
    pairs = pd.DataFrame({"start": starts, "final": done[metric].to_numpy()}).dropna()
    best = pairs.groupby("start")["final"].max()
    known = best[[start for start in best.index if pd.notna(probes.get(start, float("nan")))]]
    if len(known) < MIN_TRIALS:
        return None
    tau, p_value = kendalltau([probes[start] for start in known.index], known.to_numpy())
    stopped = int((trials["status"] == "stopped").sum())
    return EarlySignal(float(tau), float(p_value), len(known), stopped) if pd.notna(tau) else None


def _start(results: StudyResults, job: str) -> str | None:
    """Return the end of the id of the pretraining that a trial starts from; None without one."""
    path = results.folder.job(job).config
    digest = json.loads(path.read_text()).get("inputs", {}).get(WEIGHTS) if path.exists() else None
    return str(digest)[:12] if digest is not None else None
