"""Plug-ins in the record of a study, for commands that read it later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from study.plugins.loading import load_installed, load_sources
from study.plugins.source import PluginSource
from study.storage.node_cache import node_cache


def recorded_sources(plan: Mapping[str, Any]) -> list[PluginSource]:
    """Return the source of the plug-ins in the content of a study's plan.json."""
    return [PluginSource.from_plain(values) for values in plan.get("plugins", ())]


def load_recorded(plan: Mapping[str, Any]) -> None:
    """Import all plug-ins that a study needs: installed ones, and those in its plan.json.

    Raises:
        UserError: a plug-in cannot be imported, or this process has imported other code under its name.
    """
    load_installed()
    load_sources(recorded_sources(plan), node_cache)
