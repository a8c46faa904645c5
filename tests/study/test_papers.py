"""The papers' studies, in their smallest form, from the command that a user types to the report."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from study.config.catalog import available
from study.config.definition import load_study

PAPERS = [name for name, _ in available() if name[-1:].isalpha() and any(year in name for year in ("2019", "2022"))]


def test_every_paper_has_its_study():
    assert set(PAPERS) == {
        "bai2019_long_axis",
        "bai2019_short_axis",
        "saeed2022_camus",
        "saeed2022_echonet",
        "umapathy2022_liver",
        "umapathy2022_prostate",
    }


@pytest.mark.parametrize("profile", ["paper", "smoke"])
@pytest.mark.parametrize("name", PAPERS)
def test_every_profile_is_valid_in_every_cell(name, profile):
    assert len(load_study(name, profile=profile).cells()) >= 6


@pytest.mark.parametrize("profile", ["paper", "smoke"])
def test_the_study_over_time_is_valid(profile):
    assert [cell.key for cell in load_study("temporal_camus", profile=profile).cells()] == [
        "network=2d_sparse",
        "network=2d_dense",
        "network=3d_dense",
    ]


@pytest.mark.slow
@pytest.mark.ray
def test_the_study_over_time_runs_to_its_report(tmp_path: Path) -> None:
    short = ["data.phantom.subjects=24", "registration.fit.epochs=60", "replicates=2", "downstream.fit.epochs=30"]
    sets = [word for setting in short for word in ("--set", setting)]
    study = [sys.executable, "-m", "study"]
    place = ["--workspace", str(tmp_path)]
    subprocess.run([*study, "run", "temporal_camus", "--profile", "smoke", *sets, *place], check=True)
    report = subprocess.run(
        [*study, "report", "temporal_camus-smoke", *place], check=True, capture_output=True, text=True
    ).stdout
    words = " ".join(report.split())
    for direction in ("forward", "backward"):
        assert f"pseudo-labels, Dice: better: bidirectional than {direction}" in words
        assert f"pseudo-labels, mm mean absolute distance: better: bidirectional than {direction}" in words
    assert "smoothness of lv:" in words
    folder = tmp_path / "studies" / "temporal_camus-smoke" / "report"
    assert (folder / "sequence.gif").read_bytes().startswith(b"GIF89a")
    for name in ("pseudo_labels", "smoothness", "area_curves", "bland_altman"):
        assert (folder / f"{name}.png").stat().st_size > 10_000
    jobs = [path.name for path in (tmp_path / "studies" / "temporal_camus-smoke" / "jobs").iterdir()]
    assert [sum(job.startswith(stage) for job in jobs) for stage in ("registration-", "propagation-")] == [1, 1]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("name", ["saeed2022_camus", "bai2019_short_axis", "umapathy2022_prostate"])
def test_the_smoke_profile_runs_to_its_report(name: str, tmp_path: Path) -> None:
    def study(*arguments: str) -> str:
        command = [sys.executable, "-m", "study", *arguments, "--workspace", str(tmp_path)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr[-3000:]
        return ended.stdout

    study("run", name, "--profile", "smoke")
    standing = json.loads(study("status", f"{name}-smoke", "--json"))
    assert standing["state"] == "finished"
    assert standing["failures"] == {}
    assert "Test Dice" in study("report", f"{name}-smoke")
