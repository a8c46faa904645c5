"""Plug-ins that a study file declares, and the code that its cells use."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from study.config.documents import Document
from study.config.problems import Problem, SpecError
from study.plugins.source import PluginSource, read_source
from trainables.common.errors import UserError
from trainables.common.plugin_code import code_of, plugin_of, recorded_code


def declared_sources(document: Document) -> list[PluginSource]:
    """Return the plug-ins in the section `plugins` of a study file, each path relative to the file that names it.

    Raises:
        SpecError: a plug-in cannot be read, or two have the same name.
    """
    named = document.values.get("plugins") or ()
    if not isinstance(named, list) or not all(isinstance(each, str) for each in named):
        return []  # the settings' own check says what is wrong
    found: dict[str, PluginSource] = {}
    for number, text in enumerate(named):
        keys, place = ("plugins", number), document.locate(("plugins", number))
        try:
            source = read_source(_folder(place) / Path(text).expanduser())
        except UserError as error:
            raise SpecError([Problem(keys, str(error), place)]) from None
        if source.name in found:
            raise SpecError([Problem(keys, f"a second plug-in named '{source.name}'. Fix: rename one", place)])
        found[source.name] = source
    return list(found.values())


def used_code(settings: Iterable[Any]) -> dict[str, str]:
    """Return the hash of each plug-in that some settings' components come from, by the plug-in's package or module."""
    known = recorded_code()
    if not known:
        return {}
    used = {plugin_of(cls) for cls in {type(part) for each in settings for part in _parts(each)} if code_of(cls)}
    return {plugin: known[plugin] for plugin in sorted(filter(None, used))}


def changed_code(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return a sentence for each plug-in whose code is not what it was."""
    return [
        f"{plugin}: found code {now.get(plugin, 'none')[:12]}, expected {before.get(plugin, 'none')[:12]}"
        for plugin in sorted({*before, *now})
        if before.get(plugin) != now.get(plugin)
    ]


def _folder(place: str) -> Path:
    """Return the folder of the study file at a location such as "studies/a.yaml:12"; the current one for an option."""
    file = re.match(r"(.+\.ya?ml):\d+", place)
    return Path(file[1]).parent if file else Path()


def _parts(value: Any) -> Iterator[Any]:
    """Yield every dataclass instance in settings."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield value
        for field in dataclasses.fields(value):
            yield from _parts(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _parts(item)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for item in value:
            yield from _parts(item)
