import doctest
import importlib

import pytest

MODULES = (
    "layouts",
    "readers.grey",
    "readers.tables",
    "records",
    "sampling.batches",
    "sampling.prefetch",
    "sampling.splits",
    "settings",
    "store.decode",
    "store.frames",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    result = doctest.testmod(importlib.import_module(f"trainables.data.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
