"""Temporal parts of a report, on a synthetic study whose results are known."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from notebook_runs import pictures, run_notebook
from PIL import Image
from rich.console import Console
from scipy import stats

from analysis.io.load import load
from analysis.report.answer import answer_sentences
from analysis.report.report import write_report
from analysis.tables.grid import arrange
from analysis.temporal.claims import overlap_claims, pseudo_label_claims, smoothness_claims
from analysis.temporal.read import read_temporal
from analysis.temporal.tables import phase_table, smoothness_table, volume_table
from study.planning.jobs import Outcome
from study.storage.artifacts import ArtifactStore
from study.storage.events import JobFinished
from study.storage.ledger import Ledger
from study.storage.workspace import StudyFolder, Workspace
from trainables.data.store.checksums import write_checksums
from trainables.data.store.frames import INDEX_DTYPE, STORE_VERSION

CELLS = ("2d_sparse", "3d_dense")
SUBJECTS, FRAMES, REPLICATES, SIZE = 8, 5, 2, 24
DIGEST = "ab" * 32
ERROR = {"forward": 0.12, "backward": 0.10, "bidirectional": 0.04}
ROUGH = {"2d_sparse": 100.0, "3d_dense": 10.0}


def table(rows: list[list[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> StudyFolder:
    place = Workspace(tmp_path_factory.mktemp("workspace"))
    made = place.study("temporal_camus-made-up")
    made.root.mkdir(parents=True)
    frames = place.root / "frames"
    write_frames(frames)
    plan = {
        "name": made.name,
        "title": "Made up",
        "spec": {},
        "factors": {"network": list(CELLS)},
        "cells": [{"key": f"network={name}", "levels": {"network": name}} for name in CELLS],
        "search": {"metric": "dice", "trials": 0},
        "replicates": REPLICATES,
        "planned_jobs": {"pretext": 0, "propagation": 1, "trial": 0, "replicate": 4},
        "frames": {"data": str(frames)},
        "classes": ["background", "lv"],
    }
    made.plan.write_text(json.dumps(plan))
    rng = np.random.default_rng(0)
    ledger = Ledger(made.ledger, iter(map(float, range(1000))).__next__)
    quality: list[list[object]] = [
        ["subject", "sequence", "position", "direction", "class", "dice", "mean_absolute", "hausdorff"]
    ]
    for subject in range(SUBJECTS):
        for direction, error in ERROR.items():
            for frame in range(1, FRAMES - 1):
                miss = error * (1 + 0.1 * rng.normal())
                quality.append([f"s{subject}", subject, frame / 4, direction, "lv", 1 - miss, 20 * miss, 40 * miss])
    ArtifactStore(place.artifacts).put(DIGEST, {}, tables={"quality": table(quality)})
    ledger.append(finished("propagation-abab", "propagation", None, 0, DIGEST))
    for number, cell in enumerate(CELLS):
        for replicate in range(REPLICATES):
            job = f"{cell}-replicate-{replicate}"
            write_replicate(made, job, cell, np.random.default_rng([number, replicate]))
            ledger.append(finished(job, "replicate", f"network={cell}", replicate, job))
    ledger.close()
    return made


def finished(job: str, kind: str, cell: str | None, index: int, digest: str) -> JobFinished:
    return JobFinished(job, kind, cell, index, {}, digest, Outcome("completed", {}, 1, 1.0))


def write_frames(place: Path) -> None:
    place.mkdir()
    index = np.zeros(SUBJECTS * FRAMES, INDEX_DTYPE)
    index["subject"] = index["sequence"] = np.arange(len(index)) // FRAMES
    index["frame"] = 4 * (np.arange(len(index)) % FRAMES)
    index["split"], index["mask"], index["spacing"] = 2, np.arange(len(index)), 1.5
    index["phase"] = np.tile([1, 0, 0, 0, 2], SUBJECTS)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    masks = ((rows - 12) ** 2 + (columns - 12) ** 2 <= 49).astype(np.uint8)
    images = np.broadcast_to(np.arange(SIZE) * 8 + index["frame"][:, None, None, None], (len(index), 1, SIZE, SIZE))
    for name, array in {
        "images": images.astype(np.uint8),
        "masks": np.repeat(masks[None], len(index), 0),
        "index": index,
        "clinical": np.full((SUBJECTS, 1), np.nan),
    }.items():
        np.save(place / f"{name}.npy", array)
    meta = {"version": STORE_VERSION, "subjects": [f"s{n}" for n in range(SUBJECTS)], "classes": ["background", "lv"]}
    meta |= {"views": ["4CH"], "mean": [0.2], "std": [0.2], "fingerprint": "0" * 64, "issues": {}}
    (place / "meta.json").write_text(json.dumps(meta | {"split_by": "official", "clinical": ["ef"]}))
    write_checksums(place, sorted(path.name for path in place.iterdir()), {})


def write_replicate(folder: StudyFolder, job: str, cell: str, rng: np.random.Generator) -> None:
    place = folder.job(job)
    place.root.mkdir(parents=True)
    masks = np.load(folder.root.parent.parent / "frames" / "masks.npy")
    np.savez_compressed(place.predictions, rows=np.arange(len(masks)), masks=masks)
    cases: list[list[object]] = [["subject", "row", "phase", "dice", "dice/lv", "hausdorff/lv", "mean_absolute/lv"]]
    areas: list[list[object]] = [["subject", "sequence", "view", "row", "phase", "area/lv", "smoothness/lv"]]
    sizes: list[list[object]] = [
        ["subject", "view", "predicted_edv", "true_edv", "predicted_esv", "true_esv", "predicted_ef", "true_ef"]
    ]
    for subject in range(SUBJECTS):
        smooth = ROUGH[cell] * 10 ** rng.normal(0, 0.05)
        for frame in range(FRAMES):
            row, phase = subject * FRAMES + frame, {0: "ED", FRAMES - 1: "ES"}.get(frame, "")
            if phase:
                cases.append([f"s{subject}", row, phase, 0.9 + 0.01 * rng.normal(), 0.9, 4.0, 1.5])
            areas.append([f"s{subject}", subject, "4CH", row, phase, 900.0 + frame, smooth])
        sizes.append(
            [f"s{subject}", "biplane", 100.0 + subject, 102.0 + subject, 50.0, 49.0, 50 + subject, 52 + subject]
        )
    place.test.write_text(table(cases))
    place.sequences.write_text(table(areas))
    place.volumes.write_text(table(sizes))
    place.metrics.write_text(json.dumps({"epoch": 1, "metrics": {"val/dice": 0.9}}) + "\n")


def test_bidirectional_labels_are_compared_with_both_directions_by_subject(folder):
    results = load(folder)
    temporal = read_temporal(results)
    claims = pseudo_label_claims(temporal)
    assert [(c.first, c.second) for c in claims] == [("bidirectional", "forward"), ("bidirectional", "backward")] * 2
    means = temporal.quality.groupby(["direction", "subject"])["dice"].mean()
    for claim, other in zip(claims[:2], ("forward", "backward"), strict=True):
        differences = means["bidirectional"] - means[other]
        estimate = claim.difference.estimate
        assert estimate.mean == pytest.approx(differences.mean())
        assert estimate.low > 0
        assert claim.difference.p_value == pytest.approx(stats.ttest_1samp(differences, 0.0).pvalue)
        assert "better: bidirectional than" in claim.sentence
    assert all(claim.difference.estimate.high < 0 and "better" in claim.sentence for claim in claims[2:])
    assert claims[0].p_holm >= claims[0].difference.p_value


def test_smoothness_is_a_ratio_of_geometric_means(folder):
    results = load(folder)
    (claim,) = smoothness_claims(results, read_temporal(results))
    assert (claim.first, claim.second) == ("3d_dense", "2d_sparse")
    assert 10**claim.difference.estimate.mean == pytest.approx(0.1, rel=0.15)
    assert claim.sentence.startswith("smoothness of lv: better: 3d_dense than 2d_sparse, ratio 0.")
    shown = smoothness_table(results, read_temporal(results))
    assert shown is not None
    assert list(shown.data["smoothness"]) == pytest.approx([100, 10], rel=0.2)


def test_no_difference_is_said_to_be_none(folder):
    results = load(folder)
    (claim,) = overlap_claims(results, read_temporal(results))
    assert "no difference is shown between 3d_dense and 2d_sparse" in claim.sentence


def test_the_report_begins_with_the_conclusions_on_time(folder):
    results = load(folder)
    labels, smooth, overlap = answer_sentences(results, arrange(results.plan))
    best = min(pseudo_label_claims(read_temporal(results)), key=lambda claim: claim.p_holm)
    assert labels.startswith(
        "Pseudo-labels: 2 of 2 comparisons differ; the largest: bidirectional is better than forward"
    )
    assert best.p_holm < 0.05
    assert smooth.startswith(
        "Smoothness over time: 1 of 1 comparison differs; the largest: 3d_dense is better than 2d_sparse in smoothness"
    )
    assert overlap == "Dice at end-diastole and end-systole: no difference is shown in 1 comparison."


def test_volumes_and_phases_are_tabled(folder):
    results = load(folder)
    volumes = volume_table(results, read_temporal(results))
    assert volumes is not None
    row = volumes.data.iloc[0]
    assert (row["edv/bias"], row["edv/mae"], row["edv/correlation"]) == pytest.approx((-2, 2, 1))
    assert np.isnan(row["esv/correlation"])
    assert row["ef/bias"] == pytest.approx(-2)
    phases = phase_table(results)
    assert phases is not None
    assert set(phases.data["phase"]) == {"ED", "ES"}
    assert phases.data["mean_absolute/lv"].tolist() == pytest.approx([1.5] * 4)


def test_the_report_has_it_all(folder):
    text = io.StringIO()
    write_report(folder, Console(file=text, width=200))
    printed = text.getvalue()
    titles = ("Quality of pseudo-labels", "Temporal smoothness", "Volumes and ejection")
    for words in (*titles, "Measured and published ED", "Measured and published volumes"):
        assert words in printed
    assert "reference level 'random'" not in printed
    with Image.open(folder.report / "sequence.gif") as moving:
        assert moving.n_frames == 2 * FRAMES - 2
    beside = pd.read_csv(folder.report / "published_ed.csv")
    found = beside[(beside["network"] == "3d_dense") & (beside["measure"] == "ED hausdorff/lv")].iloc[0]
    assert (found["printed"], found["measured"]) == (4.2, 4.0)


def test_the_notebook_runs(folder):
    assert pictures(run_notebook("temporal_consistency", folder)) >= 3
