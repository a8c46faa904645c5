"""Failures of a GPU planted in a whole study: it ends with the results of an undisturbed one."""

import os
from pathlib import Path

import pytest
from whole_studies import TINY, check_complete, final_metrics, study

from study.storage.workspace import Workspace

pytestmark = [pytest.mark.ray, pytest.mark.drill]

TESTS = Path(__file__).parents[1]


def test_a_process_whose_gpu_fails_ends_and_its_job_is_run_again(uninterrupted, tmp_path, monkeypatch):
    info, failures = tmp_path / "site" / "failing_gpu-1.0.dist-info", tmp_path / "failures"
    info.mkdir(parents=True)
    failures.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: failing-gpu\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pretext_study.components]\nfailing = failing_gpu\n")
    monkeypatch.setenv("FAILING_GPU", str(failures))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (info.parent, TESTS, TESTS.parent))))
    ran = study(tmp_path / "here", "run", str(TINY), "--no-rehearse")
    assert ran.returncode == 0, ran.stderr
    assert len(list(failures.iterdir())) == 2
    check_complete(tmp_path / "here")
    folders = [Workspace(root).study("tiny") for root in (tmp_path / "here", uninterrupted)]
    assert final_metrics(folders[0]) == final_metrics(folders[1])
