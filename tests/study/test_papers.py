"""The papers' studies, in their smallest form, from the command that a user types to the report."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from study.catalog import available
from study.definition import load_study

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
