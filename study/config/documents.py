"""Nested values of a study file with the location of each: includes, profiles and overrides."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study.config.problems import Keys, Problem, SpecError, describe
from study.config.yaml_reader import read_yaml
from trainables.common.errors import UserError, did_you_mean

MAX_INCLUDES = 100
"""Largest number of files that a study file includes, directly and through others; a file counts each time."""

KEYED_BY_PATH: tuple[Keys, ...] = (("factors",), ("search", "space"))
"""Mappings whose keys are themselves dotted paths."""


@dataclass(frozen=True)
class Document:
    """Nested values and their locations.

    Attributes:
        values: mapping with text keys whose values are mappings, lists and scalars.
        sources: location of every value by its path, "file.yaml:12" or "--set a.b"; includes mappings and lists.
    """

    values: Mapping[str, Any]
    sources: Mapping[Keys, str]

    def locate(self, keys: Keys) -> str:
        """Return the location of a value, or of its nearest parent that has one."""
        while keys and keys not in self.sources:
            keys = keys[:-1]
        return self.sources.get(keys, "")

    def merged(self, values: Mapping[str, Any], sources: Mapping[Keys, str]) -> Document:
        """Return this document with other values merged into it; they win."""
        return Document(merge(self.values, values), {**self.sources, **sources})

    def without(self, *names: str) -> Document:
        """Return this document without some of its top-level keys."""
        return Document({name: value for name, value in self.values.items() if name not in names}, self.sources)

    def with_value(self, path: str, value: Any, location: str) -> Document:
        """Return this document with the setting at a dotted path changed."""
        keys = split_path(path, self.values)
        sources: dict[Keys, str] = {keys[: i + 1]: self.sources.get(keys[: i + 1], location) for i in range(len(keys))}
        sources.update((below, location) for below in _all_paths(value, keys))
        return self.merged(nest(keys, value), sources)


def read(path: Path, library: Path) -> Document:
    """Return a study file merged over the fragments that it includes; later fragments win over earlier ones.

    Args:
        path: file to read.
        library: folder in which an included file is looked up if it is not in the folder of `path`.

    Raises:
        SpecError: a file is not YAML, repeats a key, includes itself, or includes too many.
        UserError: a file cannot be read.
    """
    return _read(path, library, (), itertools.count(1))


def with_profile(document: Document, name: str | None) -> Document:
    """Return the document with one of its `profiles` merged into it; None only removes the profiles.

    Raises:
        SpecError: the document has no such profile.
    """
    profiles = document.values.get("profiles") or {}
    rest = document.without("profiles")
    if name is None:
        return rest
    at: Keys = ("profiles", name)
    if not isinstance(profiles, Mapping) or name not in profiles:
        known = profiles if isinstance(profiles, Mapping) else ()
        hint = did_you_mean(name, known) if known else "; the study has no profiles"
        raise SpecError([Problem(("profiles",), f"no profile '{name}'{hint}", document.locate(("profiles",)))])
    overrides = profiles[name] or {}
    if not isinstance(overrides, Mapping):
        raise SpecError([Problem(at, f"found {describe(overrides)}, expected settings", document.locate(at))])
    sources = {
        keys[2:]: f"{location} (profile {name})" for keys, location in document.sources.items() if keys[:2] == at
    }
    return rest.merged(overrides, sources)


def with_sets(document: Document, sets: Sequence[str]) -> Document:
    """Return the document with `dotted.path=value` overrides merged into it; the values are YAML.

    `factors.FACTOR.LEVEL={...}` changes or adds one level of a factor, `factors.FACTOR.LEVEL.dotted.path=value` one of
    its settings; null removes a level.

    Raises:
        SpecError: an override has another form.
    """
    for text in sets:
        path, equals, value = text.partition("=")
        location = f"--set {path}"
        if not equals or not path or not all(path.split(".")):
            raise SpecError([Problem((), f"found '{text}', expected dotted.path=value", "--set")])
        document = _with_set(document, path, read_yaml(value, location, numbered=False)[0], location)
    return document


def _with_set(document: Document, path: str, value: Any, location: str) -> Document:
    """Return the document with one override; that of a factor's level, or of its setting, keeps all others.

    Raises:
        SpecError: the factor lists values, which have no names.
    """
    keys = tuple(map(str, split_path(path, document.values)))
    factor = document.values["factors"].get(keys[1]) if keys[0] == "factors" and len(keys) > 2 else None
    if factor is None:
        return document.with_value(path, value, location)
    if not isinstance(factor, Mapping):
        text = f"the factor '{keys[1]}' lists values. Fix: override the factor, factors.{keys[1]}=[VALUE, ...]"
        raise SpecError([Problem(keys, text, location)])
    if len(keys) > 3 and isinstance(factor.get(keys[2]), Mapping):  # a setting of a level
        levels = {**factor, keys[2]: {**factor[keys[2]], ".".join(keys[3:]): value}}
    else:
        levels = {**factor, ".".join(keys[2:]): value}
    changed = {name: level for name, level in levels.items() if level is not None}
    return document.with_value(".".join(keys[:2]), changed, location)


def merge(base: Mapping[str, Any], override: Mapping[str, Any], keys: Keys = ()) -> dict[str, Any]:
    """Return `base` with `override` merged into it; both stay unchanged, and untouched parts are shared with `base`.

    Mappings merge key by key. Other values are replaced, as are single factors and search ranges. A named component
    (`{name: simclr, ...}`, or `simclr` for short) merges with one of its own name and is replaced by any other. A
    mapping of places from 0 (`{"0": 0.2}`) replaces elements of a list.

    Args:
        base: values to merge into.
        override: values that win.
        keys: path of both mappings in the document; empty for the document itself.

    Example:
        >>> merge({"fit": {"epochs": 1, "batch_size": 8}}, {"fit": {"epochs": 2}})
        {'fit': {'epochs': 2, 'batch_size': 8}}
    """
    in_study = keys[2:] if keys[:1] == ("profiles",) else keys
    if in_study in KEYED_BY_PATH:
        return {**base, **override}
    return {
        **base,
        **{
            key: _merge_value(base[key], value, (*keys, key)) if key in base else value
            for key, value in override.items()
        },
    }


def override_paths(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `values` with settings changed by dotted path; a component is replaced before its settings change."""
    for path in sorted(overrides, key=len):
        values = merge(values, nest(split_path(path, values), overrides[path]))
    return values


def nest(keys: Keys, value: Any) -> dict[str, Any]:
    """Return nested mappings that hold `value` at the path `keys`."""
    for key in reversed(keys):
        value = {key: value}
    nested: dict[str, Any] = value
    return nested


def split_path(path: str, values: Mapping[str, Any]) -> Keys:
    """Return the keys that a dotted path stands for in `values`, where keys may contain dots."""
    keys: Keys = ()
    rest = path
    while rest:
        known = [key for key in values if rest == key or rest.startswith(f"{key}.")]
        key = max(known, key=len, default=rest if keys in KEYED_BY_PATH else rest.partition(".")[0])
        keys, rest = (*keys, key), rest[len(key) + 1 :]
        below = values.get(key)
        values = below if isinstance(below, Mapping) else {}
    return keys


def _merge_value(base: Any, value: Any, keys: Keys) -> Any:
    if isinstance(base, str) and isinstance(value, Mapping) and value.get("name", base) == base:
        return {"name": base, **value}
    if isinstance(base, list) and isinstance(value, Mapping):
        places = {str(place) for place in range(len(base))}
        return [value.get(str(place), old) for place, old in enumerate(base)] if places >= set(value) else value
    if not isinstance(base, Mapping):
        return value
    name = base.get("name")
    if isinstance(value, str):
        return base if value == name else value
    if not isinstance(value, Mapping) or (isinstance(value.get("name"), str) and value["name"] != name):
        return value
    return merge(base, value, keys)


def _all_paths(value: Any, keys: Keys) -> Iterator[Keys]:
    yield keys
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _all_paths(item, (*keys, key))


def _read(path: Path, library: Path, parents: tuple[Path, ...], files: Iterator[int]) -> Document:
    main = _load(path)
    included = Document({}, {})
    for number, name in enumerate(_included(main)):
        location = main.locate(("include", number))
        fragment = next((place for place in (path.parent / name, library / name) if place.is_file()), None)
        chain = (*parents, path.resolve())
        if fragment is None:
            raise SpecError([Problem(("include",), f"no file '{name}' in {path.parent} or {library}", location)])
        if fragment.resolve() in chain:
            raise SpecError([Problem(("include",), f"'{name}' includes itself through {path.name}", location)])
        if next(files) > MAX_INCLUDES:
            text = f"found more than {MAX_INCLUDES} included files, expected at most that many; a file counts each time"
            raise SpecError([Problem(("include",), text, location)])
        nested = _read(fragment, library, chain, files)
        included = included.merged(nested.values, nested.sources)
    rest = main.without("include")
    return included.merged(rest.values, rest.sources)


def _included(document: Document) -> list[str]:
    names = document.values.get("include") or []
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        message = f"found {describe(names)}, expected a list of files"
        raise SpecError([Problem(("include",), message, document.locate(("include",)))])
    return names


def _load(path: Path) -> Document:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UserError(f"{path}: cannot be read: {reason}") from None
    values, sources = read_yaml(text, str(path))
    if not isinstance(values, dict):
        raise SpecError([Problem((), f"found {describe(values)}, expected settings", f"{path}:1")])
    return Document(values, sources)
