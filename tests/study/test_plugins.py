"""Importing installed plug-ins."""

from importlib.metadata import EntryPoint
from unittest.mock import create_autospec

import pytest

from study import plugins
from trainables.common.errors import UserError


@pytest.fixture(autouse=True)
def forgotten():
    plugins.load_plugins.cache_clear()
    yield
    plugins.load_plugins.cache_clear()


def install(monkeypatch, module: str):
    entry = EntryPoint(name="mine", value=module, group=plugins.GROUP)
    found = create_autospec(plugins.entry_points, return_value=[entry])
    monkeypatch.setattr(plugins, "entry_points", found)
    return found


def test_each_is_imported_once(monkeypatch):
    found = install(monkeypatch, "json")
    plugins.load_plugins()
    plugins.load_plugins()
    found.assert_called_once_with(group="pretext_study")


def test_one_that_cannot_be_imported_is_named(monkeypatch):
    install(monkeypatch, "no_such_module")
    with pytest.raises(UserError, match=r"plug-in 'mine' \(no_such_module\): import failed \(ModuleNotFoundError: "):
        plugins.load_plugins()
