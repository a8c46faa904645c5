"""Fake studies on disk, finished or not."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fake_results import FakeStudy

from study.storage.workspace import StudyFolder


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """Three methods, three fractions, three replicates, twenty subjects; read only."""
    return FakeStudy().write(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def make_study(tmp_path: Path) -> Callable[..., StudyFolder]:
    """Write a smaller or unfinished one: the arguments are FakeStudy's."""
    return lambda **settings: FakeStudy(**settings).write(tmp_path / "workspace")
