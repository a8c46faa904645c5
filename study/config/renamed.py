"""Study-file keys and names that were renamed, so that a file with an old one gets an error that says the new one."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Union, get_args, get_origin, get_type_hints

from study.config.documents import split_path
from study.config.plain import component_name
from study.config.problems import Keys
from study.config.resources import Resources
from study.config.spec import COMPONENTS, Components, Design, StudySpec
from trainables.data.layouts.acdc import Acdc
from trainables.data.layouts.mnms import Mnms, Mnms2
from trainables.data.layouts.ukbb import UkBiobank
from trainables.data.sampling.targets import Targets
from trainables.data.settings import DataSettings
from trainables.networks.network import NetworkSettings
from trainables.pretext.denoise import Denoise
from trainables.pretext.masked import MaskedModelling
from trainables.pretext.pretrain import PretextSettings

RENAMED_KEYS: Mapping[type, Mapping[str, str]] = {
    DataSettings: {"unreadable": "on_error"},
    Acdc: {"every": "frame_step"},
    Mnms: {"every": "frame_step"},
    Mnms2: {"every": "frame_step"},
    UkBiobank: {"every": "frame_step"},
    PretextSettings: {"first": "init_from", "collapse": "guard"},
    Denoise: {"share": "noise_ratio"},
    MaskedModelling: {"share": "mask_ratio"},
    Design: {"over": "factors"},
    Resources: {"most": "max"},
}
"""Current key by former key, for each class of settings that the study file describes."""

RENAMED_NAMES: Mapping[Any, Mapping[str, str]] = {
    NetworkSettings: {"unet_time": "unet3d"},
    Targets: {"ends": "ed_es"},
}
"""Current name by former name, for each component base and each `Literal` type."""


def renamed_key(cls: type, key: str) -> str | None:
    """Return the message for a renamed key of a settings class, or None for any other key."""
    renamed = RENAMED_KEYS.get(cls, {})
    return _message("key", key, renamed[key]) if key in renamed else None


def renamed_name(kind: Any, name: str) -> str | None:
    """Return the message for a renamed component or choice, or None for any other name.

    Args:
        kind: component base or `Literal` type that the setting is annotated with.
        name: value found in the study file.
    """
    renamed = RENAMED_NAMES.get(kind, {})
    return _message("value", name, renamed[name]) if name in renamed else None


def renamed_path(path: str) -> str | None:
    """Return the message for a dotted path with a renamed key, or None for any other path."""
    keys, current = tuple(path.split(".")), current_path(path)
    return _message("key", _former(keys, *_current_keys([StudySpec], keys, COMPONENTS)), current) if current else None


def current_path(path: str) -> str | None:
    """Return the current form of a dotted path with a renamed key, or None for any other path.

    Where components have different keys in its place, all of them are named.

    Example:
        >>> current_path("pretext.first.fit.epochs")
        'pretext.init_from.fit.epochs'
        >>> current_path("pretext.method.share")
        'pretext.method.mask_ratio (masked) or pretext.method.noise_ratio (denoise)'
    """
    keys = tuple(path.split("."))
    paths = _current_keys([StudySpec], keys, COMPONENTS)
    if paths == [keys]:
        return None
    owners = [f" ({_owners(keys, current)})" if len(paths) > 1 else "" for current in paths]
    return " or ".join(".".join(current) + owner for current, owner in zip(paths, owners, strict=True))


def dotted_key(cls: type, keys: Keys, components: Components) -> str | None:
    """Return the message for a dotted key where settings are nested, or None if the key is not a path.

    Args:
        cls: settings class that has no such key.
        keys: path of the key in the study file.
        components: registries of each component base class.
    """
    split = tuple(map(str, split_path(".".join(map(str, keys)), {})[len(keys) - 1 :]))
    paths = _current_keys([cls], split, components)
    if len(split) < 2 or paths[0][0] not in get_type_hints(cls):
        return None
    former = _former(split, *paths)
    note = f", and {former} was renamed" if former else ""
    nested = " or ".join(": {".join(path) + ": ..." + "}" * (len(path) - 1) for path in paths)
    return f"keys are nested, not dotted{note}. Fix: write {nested}"


def _current_keys(classes: Sequence[type], keys: tuple[str, ...], components: Components) -> list[tuple[str, ...]]:
    """Return the paths that a path below one of some settings classes stands for; itself if no key was renamed."""
    if not keys:
        return [()]
    key, rest = keys[0], keys[1:]
    fields = {cls: get_type_hints(cls) for cls in classes}
    known = any(key in hints for hints in fields.values())
    renamed = set() if known else {RENAMED_KEYS.get(cls, {}).get(key, key) for cls in classes} - {key}
    found: list[tuple[str, ...]] = []
    for name in sorted(renamed) or [key]:
        below = [
            each for hints in fields.values() if name in hints for each in settings_classes(hints[name], components)
        ]
        found += [(name, *path) for path in _current_keys(below, rest, components)]
    return found


def _former(keys: tuple[str, ...], *current: tuple[str, ...]) -> str:
    """Return the keys of a path that its current forms lack, as text."""
    return " and ".join(key for key, *now in zip(keys, *current, strict=True) if key not in now)


def _owners(keys: tuple[str, ...], current: tuple[str, ...]) -> str:
    """Return the names of the components whose key was renamed so."""
    renamed = [pair for pair in zip(keys, current, strict=True) if pair[0] != pair[1]]
    classes = [cls for cls, names in RENAMED_KEYS.items() if any(names.get(old) == new for old, new in renamed)]
    return ", ".join(name for name in map(component_name, classes) if name)


def settings_classes(kind: Any, components: Components) -> Iterator[type]:
    """Yield the settings classes that a field of some type can hold.

    Args:
        kind: type of the field.
        components: registries of each component base class.
    """
    if kind in components:
        yield from (entry for registry in components[kind] for entry in registry.values())
    elif dataclasses.is_dataclass(kind) and isinstance(kind, type):
        yield kind
    elif get_origin(kind) in (Union, types.UnionType):
        for choice in get_args(kind):
            yield from settings_classes(choice, components)


def _message(kind: str, old: str, new: str) -> str:
    return f"the {kind} was renamed (found {old}). Fix: use {new}"
