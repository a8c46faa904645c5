"""The examples in the docstrings of the metrics print what they say."""

import doctest
from types import ModuleType

import pytest

from trainables.metrics import clinical, overlap, surface, temporal


@pytest.mark.parametrize("module", [clinical, overlap, surface, temporal], ids=lambda module: module.__name__)
def test_docstring_examples_run(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
