"""Answers of a study's records to the items of a reporting checklist."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from analysis.io.load import StudyResults
from analysis.report.design import Fact
from analysis.stats.comparisons import compare, estimate_of
from analysis.tables.grid import Grid
from trainables.data.records import SPLITS
from trainables.data.store.frames import FrameStore

STARTS = {"random": "random weights", "imagenet": "weights learned on ImageNet", "file": "weights of a file"}
"""Methods that pretrain nothing, in words."""


def checklist_answers(
    results: StudyResults,
    grid: Grid,
    store: FrameStore | None,
    title: str,
    facts: Sequence[Fact],
    conclusions: Sequence[str],
    remarks: Sequence[str],
) -> dict[str, str]:
    """Return the answers by name; an answer that the records do not give is missing or empty.

    Args:
        results: results of the study.
        grid: usual arrangement of the cells.
        store: frame store of the study; None where it is missing.
        title: title of the report.
        facts: data and design of the study.
        conclusions: sentences of the report's answer.
        remarks: notes and warnings of the report's first screen.
    """
    fact, spec = {each.term: each.text for each in facts}, results.plan.spec
    return {
        "title": f"self-supervised deep learning for segmentation. Title of the study: {title}",
        "question": _question(results),
        "data": _sentences(fact.get("Dataset", ""), _named("pretraining data", fact.get("Pretraining data", ""))),
        "excluded": _excluded(spec.get("data") or {}),
        "preprocessing": _preprocessing(spec.get("data") or {}),
        "subsets": _sentences(_named("labelled subjects", fact.get("Labelled subjects", "")), _views(spec)),
        "deidentification": "results, tables and figures name subjects by a keyed hash alone",
        "missing": _missing(store),
        "classes": _named("classes of the masks", ", ".join(results.plan.classes)),
        "partitions": fact.get("Subjects and images", ""),
        "disjoint": "subjects: no subject is in two partitions, and subsets of labels are drawn by subject",
        "sample_size": _sample_size(results, grid),
        "network": fact.get("Network", ""),
        "software": _sentences(fact.get("Software", ""), fact.get("Report", "")),
        "starts": _sentences(_named("pretrained by", fact.get("Pretraining", "")), _untrained(spec)),
        "training": _sentences(_training(spec), _named("search", fact.get("Search", ""))),
        "selection": _selection(results),
        "ensembles": "none: each replicate is scored alone",
        "metrics": _metrics(results),
        "statistics": (
            "95% intervals and p-values from one model with crossed random effects of test subjects and replicates "
            "(two-way standard error, Satterthwaite's degrees of freedom); Holm's adjustment over all comparisons"
        ),
        "robustness": _named("replicates", fact.get("Replicates", "")),
        "internal": "the test partition of the same dataset, used once for each replicate and for no choice",
        "performance": _performance(results, grid),
        "conclusions": " ".join(conclusions),
        "failures": "figures worst_cases and overlays of this report show the images with the lowest Dice",
        "limitations": _limitations(fact.get("Dataset", ""), results, remarks),
        "protocol": _protocol(results),
        "availability": f"weights: study export backbone {results.plan.name}",
    }


def _sentences(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _named(name: str, value: str) -> str:
    return f"{name}: {value}" if value else ""


def _question(results: StudyResults) -> str:
    factors = [f"{name} ({', '.join(levels)})" for name, levels in results.plan.factors.items()]
    return _sentences("comparison of test Dice", _named("factors", "; ".join(factors)))


def _excluded(data: Mapping[str, Any]) -> str:
    """Return what the study file leaves out; the names of excluded subjects are not told."""
    left_out = len(data.get("exclude") or ())
    skipped = "damaged files are left out" if data.get("on_error") == "skip" else "a damaged file stops the study"
    return _sentences(f"{left_out} subjects excluded by the study file" if left_out else "", skipped)


def _preprocessing(data: Mapping[str, Any]) -> str:
    if not data:
        return ""
    size, spacing, stride = data.get("image_size"), data.get("pixel_mm"), int(data.get("stride") or 1)
    return _sentences(
        f"images of {size} x {size} pixels" if size else "",
        f"resampled to {spacing} mm" if spacing else "",
        f"every {stride}. frame without a mask is kept" if stride > 1 else "",
        "grey levels scaled by mean and standard deviation of the training images",
    )


def _views(spec: Mapping[str, Any]) -> str:
    data = spec.get("data") or {}
    return _sentences(_named("views", ", ".join(data.get("views") or ())), _structures(data.get("structures") or ()))


def _structures(names: Sequence[str]) -> str:
    return _named("structures", ", ".join(names))


def _missing(store: FrameStore | None) -> str:
    if store is None:
        return ""
    unlabelled = sum(len(store.rows(split)) - len(store.rows(split, labelled=True)) for split in SPLITS)
    return f"{unlabelled:,} images without a mask serve pretraining alone" if unlabelled else "every image has a mask"


def _sample_size(results: StudyResults, grid: Grid) -> str:
    """Return the number of test subjects, and how many replicates would show the differences that are undecided."""
    counts = {estimate_of(results, cell).n_subjects for cell in grid.cells.values()} - {0}
    if not counts:
        return ""
    needed = dict.fromkeys(
        f"{each.row} - {each.reference}: {each.needed}" for each in compare(results, grid) if each.needed
    )
    return _sentences(f"{max(counts)} test subjects", *needed)


def _untrained(spec: Mapping[str, Any]) -> str:
    levels = [level for factor in spec.get("factors") or () for level in factor["levels"].values()]
    methods = [level.get("pretext.method") for level in levels]
    names = {each.get("name") if isinstance(each, Mapping) else each for each in methods}
    return _named("compared with", ", ".join(text for name, text in STARTS.items() if name in names))


def _training(spec: Mapping[str, Any]) -> str:
    parts = []
    for stage, name in (("pretext", "pretraining"), ("downstream", "fine-tuning")):
        fit = (spec.get(stage) or {}).get("fit")
        if fit:
            parts.append(f"{name}: {_fit(fit)}")
    searched = ", ".join((spec.get("search") or {}).get("space") or ())
    return _sentences(*parts, _named("searched", searched), "all settings in plan.json, augmentation included")


def _fit(fit: Mapping[str, Any]) -> str:
    """Return the recorded settings of a training; a trainer of another package records fewer."""
    optimizer, schedule, steps = fit.get("optimizer"), fit.get("schedule"), fit.get("steps_per_epoch")
    parts = [
        f"{fit['epochs']} epochs" + (f" of {steps} steps" if steps else "") if "epochs" in fit else "",
        f"batches of {fit['batch_size']}" if "batch_size" in fit else "",
        f"{optimizer['name']} at {optimizer['lr']:g}" if optimizer else "",
        f"{schedule['name']} schedule" if schedule else "",
    ]
    return ", ".join(part for part in parts if part)


def _selection(results: StudyResults) -> str:
    validation = (results.plan.spec.get("downstream") or {}).get("validation", "all")
    if validation == "none":
        return "the last epoch is kept; no validation subject is used"
    return f"best epoch and configuration by validation {results.plan.metric}; validation subjects: {validation}"


def _metrics(results: StudyResults) -> str:
    names = [str(name).removeprefix("test/") for name in results.jobs.columns if str(name).startswith("test/")]
    return ", ".join(sorted(names))


def _performance(results: StudyResults, grid: Grid) -> str:
    """Return test Dice of every cell with its interval."""
    parts = []
    for (row, column), cell in grid.cells.items():
        estimate = estimate_of(results, cell)
        if np.isfinite(estimate.mean):
            interval = f" ({estimate.low:.3f} to {estimate.high:.3f})" if estimate.known else ""
            parts.append(f"{row}, {grid.column_title(column)}: {estimate.mean:.3f}{interval}")
    return "; ".join(parts)


def _limitations(dataset: str, results: StudyResults, remarks: Sequence[str]) -> str:
    """Return what limits the study's conclusions, as far as it is recorded."""
    made = Counter(each.method for each in results.pretrainings)
    single = [method for method, count in made.items() if count == 1]
    return _sentences(
        dataset if dataset.startswith("GENERATED") else "",
        f"one pretraining by {' and by '.join(single)}: another seed is not covered" if single else "",
        " ".join(remarks),
    )


def _protocol(results: StudyResults) -> str:
    return (
        f"plan.json and ledger.jsonl of the study hold every setting and event; seed {results.plan.spec.get('seed', 0)}"
    )
