"""Preparation of a study's datasets before its jobs start."""

import pytest
from rich.console import Console
from whole_studies import TINY

from study.config.definition import load_study
from study.execution.launch import prepare_datasets
from study.progress import Progress
from study.storage.workspace import Workspace
from trainables.common.errors import DataError


def test_a_dataset_that_no_network_can_be_finetuned_on_is_refused(tmp_path):
    small = ["data.phantom={subjects: 4, frames: 8, size: 32, fractions: [0.5, 0.5, 0]}", "data.split=fractions"]
    study = load_study(str(TINY), sets=[*small, "data.fractions=[0.5, 0.5, 0]"])
    with (
        Progress(Console(quiet=True)) as progress,
        pytest.raises(DataError, match="EchoNet-Dynamic: no labelled subject in test"),
    ):
        prepare_datasets(study, Workspace(tmp_path), progress)
