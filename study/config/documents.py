"""Study files as nested values that remember where each was given: including, merging, overriding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study.config.problems import Keys, Problem, SpecError, found
from study.config.yaml_reader import read_yaml
from trainables.common.errors import UserError, did_you_mean

KEYED_BY_PATH: tuple[Keys, ...] = (("factors",), ("search", "space"))
"""Mappings whose keys are themselves dotted paths."""


@dataclass(frozen=True)
class Document:
    """Nested values and where each was given.

    Attributes:
        values: mappings with string keys, lists and scalars.
        sources: "file.yaml:12" or "--set a.b" of every value, mappings and lists included.
    """

    values: Mapping[str, Any]
    sources: Mapping[Keys, str]

    def where(self, keys: Keys) -> str:
        """Where the value was given, or else what it would be part of."""
        while keys and keys not in self.sources:
            keys = keys[:-1]
        return self.sources.get(keys, "")

    def over(self, values: Mapping[str, Any], sources: Mapping[Keys, str]) -> Document:
        """This document with other values merged over it; they win."""
        return Document(merge(self.values, values), {**self.sources, **sources})

    def without(self, *names: str) -> Document:
        """This document without some of its top-level keys."""
        return Document({name: value for name, value in self.values.items() if name not in names}, self.sources)

    def set(self, path: str, value: Any, where: str) -> Document:
        """This document with the setting at a dotted path changed."""
        keys = split_path(path, self.values)
        sources: dict[Keys, str] = {keys[: i + 1]: self.sources.get(keys[: i + 1], where) for i in range(len(keys))}
        sources.update((below, where) for below in _every_key(value, keys))
        return self.over(nest(keys, value), sources)


def read(path: Path, library: Path) -> Document:
    """A study file with the fragments it includes merged under it, in their order.

    Args:
        path: of the file.
        library: where an included fragment is looked for when it does not lie beside the file.

    Raises:
        SpecError: a file is not YAML, gives a key twice, or includes itself.
        UserError: a file cannot be read.
    """
    return _read(path, library, ())


def with_profile(document: Document, name: str | None) -> Document:
    """The document with the overrides of one of its `profiles` merged over it.

    Raises:
        SpecError: it has no such profile.
    """
    profiles = document.values.get("profiles") or {}
    rest = document.without("profiles")
    if name is None:
        return rest
    at: Keys = ("profiles", name)
    if not isinstance(profiles, Mapping) or name not in profiles:
        known = profiles if isinstance(profiles, Mapping) else ()
        hint = did_you_mean(name, known) if known else "; the study has no profiles"
        raise SpecError([Problem(("profiles",), f"no profile '{name}'{hint}", document.where(("profiles",)))])
    overrides = profiles[name] or {}
    if not isinstance(overrides, Mapping):
        raise SpecError([Problem(at, f"found {found(overrides)}, expected settings", document.where(at))])
    sources = {keys[2:]: f"{where} (profile {name})" for keys, where in document.sources.items() if keys[:2] == at}
    return rest.over(overrides, sources)


def with_sets(document: Document, sets: Sequence[str]) -> Document:
    """The document with `dotted.path=value` overrides, the values being YAML.

    Raises:
        SpecError: one of them is not of that form.
    """
    for text in sets:
        path, equals, value = text.partition("=")
        where = f"--set {path}"
        if not equals or not path or not all(path.split(".")):
            raise SpecError([Problem((), f"found '{text}', expected dotted.path=value", "--set")])
        document = document.set(path, read_yaml(value, where, numbered=False)[0], where)
    return document


def merge(base: Mapping[str, Any], over: Mapping[str, Any], keys: Keys = ()) -> dict[str, Any]:
    """`over` merged into `base`, neither being changed; what stays is shared with `base`.

    Mappings merge key by key; everything else is replaced, and so is each single factor and search range. The mapping
    of a named component (`{name: simclr, ...}`, or `simclr` for short) merges with one of the same name and gives way
    to one of another name.

    Args:
        base: what is merged into.
        over: what wins.
        keys: where in the document both are.
    """
    if keys in KEYED_BY_PATH:
        return {**base, **over}
    return {
        **base,
        **{key: _merge_value(base[key], value, (*keys, key)) if key in base else value for key, value in over.items()},
    }


def override(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> Mapping[str, Any]:
    """`values` with settings changed, by dotted path; a component is changed before its own settings."""
    for path in sorted(overrides, key=len):
        values = merge(values, nest(split_path(path, values), overrides[path]))
    return values


def nest(keys: Keys, value: Any) -> dict[str, Any]:
    """Mappings inside each other with `value` at the end of `keys`."""
    for key in reversed(keys):
        value = {key: value}
    nested: dict[str, Any] = value
    return nested


def split_path(path: str, values: Mapping[str, Any]) -> Keys:
    """The keys that a dotted path means in `values`, some of whose keys have dots of their own."""
    keys: Keys = ()
    rest = path
    while rest:
        known = [key for key in values if rest == key or rest.startswith(f"{key}.")]
        key = max(known, key=len, default=rest if keys in KEYED_BY_PATH else rest.partition(".")[0])
        keys, rest = (*keys, key), rest[len(key) + 1 :]
        below = values.get(key)
        values = below if isinstance(below, Mapping) else {}
    return keys


def _merge_value(base: Any, over: Any, keys: Keys) -> Any:
    if isinstance(base, str) and isinstance(over, Mapping) and over.get("name", base) == base:
        return {"name": base, **over}
    if not isinstance(base, Mapping):
        return over
    name = base.get("name")
    if isinstance(over, str):
        return base if over == name else over
    if not isinstance(over, Mapping) or ("name" in over and over["name"] != name and isinstance(over["name"], str)):
        return over
    return merge(base, over, keys)


def _every_key(value: Any, keys: Keys) -> Iterator[Keys]:
    yield keys
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _every_key(item, (*keys, key))


def _read(path: Path, library: Path, parents: tuple[Path, ...]) -> Document:
    own = _load(path)
    merged = Document({}, {})
    for number, name in enumerate(_included(own)):
        at = Problem(("include",), "", own.where(("include", number)))
        fragment = next((place for place in (path.parent / name, library / name) if place.is_file()), None)
        chain = (*parents, path.resolve())
        if fragment is None:
            raise SpecError([Problem(at.keys, f"no file '{name}' in {path.parent} or {library}", at.where)])
        if fragment.resolve() in chain:
            raise SpecError([Problem(at.keys, f"'{name}' includes itself, by way of {path.name}", at.where)])
        below = _read(fragment, library, chain)
        merged = merged.over(below.values, below.sources)
    rest = own.without("include")
    return merged.over(rest.values, rest.sources)


def _included(document: Document) -> list[str]:
    names = document.values.get("include") or []
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        message = f"found {found(names)}, expected a list of files"
        raise SpecError([Problem(("include",), message, document.where(("include",)))])
    return names


def _load(path: Path) -> Document:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UserError(f"{path}: cannot be read: {reason}") from None
    values, sources = read_yaml(text, str(path))
    if not isinstance(values, dict):
        raise SpecError([Problem((), f"found {found(values)}, expected settings", f"{path}:1")])
    return Document(values, sources)
