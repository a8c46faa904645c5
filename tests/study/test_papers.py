"""The papers' studies, in their smallest form, from the command that a user types to the report."""

import json
from pathlib import Path

import pytest
from whole_studies import call, study

from search_spaces import FOLDER
from study.config.catalog import available, find
from study.config.definition import load_study
from study.config.documents import read

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


PROFILES = [(name, profile) for name in PAPERS for profile in read(find(name), FOLDER).values["profiles"]]


def test_every_profile_is_walked():
    assert {(name, profile) for name in PAPERS for profile in ("paper", "smoke")} <= set(PROFILES)
    assert {("bai2019_short_axis", "demo"), ("saeed2022_camus", "cpu")} <= set(PROFILES)


@pytest.mark.parametrize(("name", "profile"), PROFILES)
def test_every_profile_is_valid_in_every_cell(name, profile):
    assert len(load_study(name, profile=profile).cells()) >= 6


@pytest.mark.parametrize("profile", ["paper", "unet", "smoke"])
def test_the_temporal_study_is_valid(profile):
    assert [cell.key for cell in load_study("temporal_camus", profile=profile).cells()] == [
        "network=2d_sparse",
        "network=2d_dense",
        "network=3d_dense",
    ]


@pytest.mark.slow
@pytest.mark.ray
def test_the_temporal_study_runs_to_its_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = ["data.phantom.subjects=24", "registration.fit.epochs=60", "replicates=2", "downstream.fit.epochs=4"]
    words = run_and_report("temporal_camus", short, tmp_path, capsys)
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


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("papers")


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("name", ["saeed2022_camus", "bai2019_short_axis", "umapathy2022_prostate"])
def test_the_smoke_profile_runs_to_its_report(name: str, workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Test Dice" in run_and_report(name, ["replicates=1"], workspace, capsys)


def run_and_report(name: str, sets: list[str], root: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a study's smoke profile to its end; return the words of its report."""
    ran = study(root, "run", name, "--profile", "smoke", *(word for each in sets for word in ("--set", each)))
    assert ran.returncode == 0, ran.stderr[-3000:]
    _, status = call(capsys, "status", f"{name}-smoke", "--json", "--workspace", str(root))
    assert json.loads(status)["state"] == "finished"
    assert json.loads(status)["failures"] == {}
    code, report = call(capsys, "report", f"{name}-smoke", "--workspace", str(root))
    assert code == 0, report
    return " ".join(report.split())
