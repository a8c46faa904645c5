"""Plain values into settings: frozen dataclasses, validated from their annotations.

A field annotated with a component base class (`optimizer: Optimizer`) takes `{name: adam, lr: 1e-3}`, or `adam` for
short; the registries of the base name the class. A mapping without a name changes the field's default. Settings that
have names as a whole (`augment: ultrasound`) may be changed in part: `{name: ultrasound, strength: 0.5}`. A class may
have a static method `expand` that returns the full form of a value written in a short form.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from study.config.nested_keys import nested_key
from study.config.plain import component_name
from study.config.problems import Keys, Problem, SpecError, describe
from study.config.renamed import dotted_key, renamed_key, renamed_name
from study.config.spec import COMPONENTS, NAMED_SETTINGS, Components
from trainables.common.errors import UserError, did_you_mean
from trainables.common.plugin_code import code_of, plugin_of

T = TypeVar("T")

ParseCache = dict[tuple[Keys, int], Any]
"""Parsed settings by their place and the identity (`id`) of the mapping that they were parsed from."""


def parse(
    cls: Callable[..., T],
    value: Any,
    components: Components = COMPONENTS,
    *,
    locate: Callable[[Keys], str] = lambda keys: "",
    cache: ParseCache | None = None,
    fill_cache: bool = False,
) -> T:
    """Return the settings that `value` describes.

    Args:
        cls: a dataclass, a component base class, or the type of a field.
        value: mappings, lists and scalars; parts may be parsed settings.
        components: registries of each component base class.
        locate: function from the path of a value to its file and line, for messages.
        cache: settings to reuse where the identical mapping is at the same place; None parses everything.
        fill_cache: also add the parsed settings to `cache`. The caller must then keep `value` alive and unchanged as
            long as the cache.

    Raises:
        SpecError: with every problem of `value`.

    Example:
        >>> from trainables.engine.optim.optimizers import Optimizer
        >>> parse(Optimizer, {"name": "adam", "lr": "1e-2"}).lr
        0.01
    """
    reader = _Reader(components, {} if cache is None else cache, fill_cache)
    settings: T = reader.read(cls, value, ())
    if reader.problems:
        raise SpecError(dataclasses.replace(problem, location=locate(problem.keys)) for problem in reader.problems)
    return settings


_INVALID: Any = object()
_NO_DEFAULT: Any = object()


def _integer(value: Any) -> int:
    """Return a whole number given as int, float or text, or raise ValueError."""
    if isinstance(value, float) and not value.is_integer():
        raise ValueError
    return int(value)


def _number(value: Any) -> float:
    """Return a finite number given as int, float or text, or raise ValueError."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


_NUMBERS: Mapping[Any, tuple[Callable[[Any], float], str]] = {
    int: (_integer, "a whole number"),
    float: (_number, "a number"),
}


class _Reader:
    """Recursive reader of one value that collects problems; an invalid value and its parents read as _INVALID."""

    def __init__(self, components: Components, cache: ParseCache, fill_cache: bool) -> None:
        self.components, self.cache, self.fill_cache = components, cache, fill_cache
        self.problems: list[Problem] = []

    def read(self, cls: Any, value: Any, keys: Keys, default: Any = _NO_DEFAULT) -> Any:
        """Return `value` as a `cls`; a mapping without a name changes `default`, the value of the field's default."""
        if cls is Any:
            return value
        if cls in (bool, str):
            expected = "true or false" if cls is bool else "text"
            return value if isinstance(value, cls) else self._mismatch(keys, value, expected)
        if cls in _NUMBERS:
            return self._number(cls, value, keys)
        origin, args = get_origin(cls), get_args(cls)
        if origin in (Union, types.UnionType):
            return self._union(args, value, keys, default)
        if origin is Literal:
            return self._literal(cls, value, keys)
        if origin is tuple:
            return self._tuple(args, value, keys)
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return self._dict(args[1], value, keys)
        if cls is Path:
            return Path(value) if isinstance(value, str) else self._mismatch(keys, value, "a path")
        if dataclasses.is_dataclass(cls) or cls in self.components:
            return self._settings(cls, value, keys, default)
        raise TypeError(f"{cls!r}: not a type that settings can have")

    def _settings(self, cls: Any, value: Any, keys: Keys, default: Any) -> Any:
        if isinstance(value, cls):
            return value
        cached = self.cache.get((keys, id(value)))
        if cached is not None:
            return cached
        try:
            full = cls.expand(value) if hasattr(cls, "expand") else value
        except ValueError as error:
            return self._mismatch(keys, value, str(error))
        if cls in NAMED_SETTINGS and (isinstance(full, str) or (isinstance(full, Mapping) and "name" in full)):
            full, default = self._named(cls, full, keys)
            if default is _INVALID:
                return _INVALID
        read = self._component if cls in self.components else self._dataclass
        settings = read(cls, full, keys, default)
        if self.fill_cache and settings is not _INVALID:
            self.cache[keys, id(value)] = settings
        return settings

    def _named(self, cls: Any, value: str | Mapping[str, Any], keys: Keys) -> tuple[Any, Any]:
        """Return the changes of `value` and the named settings that they change."""
        name = value if isinstance(value, str) else value["name"]
        known = NAMED_SETTINGS[cls]
        if not isinstance(name, str) or name not in known:
            at = keys if isinstance(value, str) else (*keys, "name")
            kind = cls.__name__.lower()
            return {}, self._add(at, f"unknown {kind} '{name}'{did_you_mean(str(name), known)}", unknown=True)
        changes = {} if isinstance(value, str) else {key: item for key, item in value.items() if key != "name"}
        return changes, known[name]

    def _component(self, base: Any, value: Any, keys: Keys, default: Any) -> Any:
        registries = self.components[base]
        kind = registries[0].kind
        if isinstance(value, Mapping) and "name" not in value and isinstance(default, base):
            return self._dataclass(type(default), value, keys, default)
        unnamed = keys[-1] if keys and getattr(base, "named_by_key", False) else None
        name = value.get("name", unnamed) if isinstance(value, Mapping) else value
        choices = {name: entry for registry in registries for name, entry in registry.items()}
        if not isinstance(name, str):
            return self._mismatch(keys, value, f"the {kind}'s name{did_you_mean('', choices)}")
        if name not in choices:
            at = (*keys, "name") if isinstance(value, Mapping) and "name" in value else keys
            unknown = f"unknown {kind} '{name}'{did_you_mean(name, choices)}"
            return self._add(at, renamed_name(base, name) or unknown, unknown=True)
        return self._dataclass(choices[name], value if isinstance(value, Mapping) else {}, keys, _NO_DEFAULT)

    def _dataclass(self, cls: Any, value: Any, keys: Keys, default: Any) -> Any:
        if not isinstance(value, Mapping):
            return self._mismatch(keys, value, "settings")
        fields, required = _fields(cls)
        values = {}
        for name, item in value.items():
            if name in fields:
                values[name] = self.read(fields[name], item, (*keys, name), _default(cls, name, default))
            elif name == "code" and code_of(cls) is not None:
                if item != code_of(cls):
                    values[name] = self._changed_code(cls, item, (*keys, name))
            elif name != "name" or item != component_name(cls, self.components):
                values[name] = self._unknown_key(cls, (*keys, name))
        if type(default) is cls:
            values = {name: getattr(default, name) for name in fields} | values
        for name in required:
            if name not in values:
                self._add((*keys, name), "missing, and it has no default")
                values[name] = _INVALID
        return self._construct(cls, values, keys)

    def _changed_code(self, cls: Any, expected: Any, keys: Keys) -> Any:
        text = f"found code {(code_of(cls) or '')[:12]}, expected {str(expected)[:12]}"
        return self._add(
            keys, f"the plug-in {plugin_of(cls)} has changed ({text}). Fix: restore it, or run another study"
        )

    def _unknown_key(self, cls: Any, keys: Keys) -> Any:
        name = str(keys[-1])
        hints = (renamed_key(cls, name), dotted_key(cls, keys, self.components), nested_key(cls, keys, self.components))
        message = next(filter(None, hints), None)
        return self._add(keys, message or f"unknown key{did_you_mean(name, _fields(cls)[0])}", unknown=True)

    def _construct(self, cls: Any, values: dict[str, Any], keys: Keys) -> Any:
        if any(value is _INVALID for value in values.values()):
            return _INVALID
        try:
            return cls(**values)
        except (ValueError, UserError) as error:
            several = len(error.args) > 1 and all(isinstance(each, str) for each in error.args)
            for problem in error.args if several else (error,):
                self._add(keys, str(problem))
            return _INVALID

    def _number(self, cls: type, value: Any, keys: Keys) -> Any:
        convert, expected = _NUMBERS[cls]
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return self._mismatch(keys, value, expected)
        try:
            return convert(value)
        except (ValueError, OverflowError):
            return self._mismatch(keys, value, expected)

    def _union(self, choices: tuple[Any, ...], value: Any, keys: Keys, default: Any) -> Any:
        if value is None and types.NoneType in choices:
            return None
        rest = [choice for choice in choices if choice is not types.NoneType]
        if type(value) in rest:
            rest = [type(value)]
        numbers = [_NUMBERS[choice][1] for choice in rest if choice in _NUMBERS]
        names = [name for choice in rest if get_origin(choice) is Literal for name in map(str, get_args(choice))]
        attempts = []
        for choice in rest:
            attempt = _Reader(self.components, self.cache, self.fill_cache)
            read = attempt.read(choice, value, keys, default)
            if not attempt.problems:
                return read
            attempts.append(attempt.problems)
        if numbers and names and isinstance(value, str):
            return self._mismatch(keys, value, f"{' or '.join(numbers)}, or {', '.join(names)}")
        deepest = max(attempts, key=lambda problems: max(len(problem.keys) for problem in problems))
        if len(rest) == 1 or any(len(problem.keys) > len(keys) for problem in deepest):
            self.problems += deepest
        else:
            messages = [problem.message for problems in attempts for problem in problems]
            self._add(keys, "; or ".join(dict.fromkeys(messages)))
        return _INVALID

    def _literal(self, cls: Any, value: Any, keys: Keys) -> Any:
        choices = get_args(cls)
        for choice in choices:
            if type(choice) is type(value) and choice == value:
                return choice
        if isinstance(value, str):
            unknown = f"unknown choice '{value}'{did_you_mean(value, map(str, choices))}"
            return self._add(keys, renamed_name(cls, value) or unknown, unknown=True)
        return self._mismatch(keys, value, f"one of: {', '.join(map(str, choices))}")

    def _tuple(self, args: tuple[Any, ...], value: Any, keys: Keys) -> Any:
        many = len(args) == 2 and args[1] is Ellipsis
        if not isinstance(value, list | tuple) or not (many or len(value) == len(args)):
            return self._mismatch(keys, value, "a list" if many else f"a list of {len(args)}")
        items = [self.read(args[0 if many else i], item, (*keys, i)) for i, item in enumerate(value)]
        return _INVALID if any(item is _INVALID for item in items) else tuple(items)

    def _dict(self, cls: Any, value: Any, keys: Keys) -> Any:
        if not isinstance(value, Mapping):
            return self._mismatch(keys, value, "a mapping")
        items = {name: self.read(cls, item, (*keys, name)) for name, item in value.items()}
        return _INVALID if any(item is _INVALID for item in items.values()) else items

    def _mismatch(self, keys: Keys, value: Any, expected: str) -> Any:
        return self._add(keys, f"found {describe(value)}, expected {expected}")

    def _add(self, keys: Keys, message: str, *, unknown: bool = False) -> Any:
        self.problems.append(Problem(keys, message, unknown=unknown))
        return _INVALID


@functools.cache
def _fields(cls: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the types of a dataclass's fields by name, and the names of the fields without a default."""
    hints = get_type_hints(cls)
    fields = [field for field in dataclasses.fields(cls) if field.init]
    required = [f.name for f in fields if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING]
    return {field.name: hints[field.name] for field in fields}, tuple(required)


@functools.cache
def _field_defaults(cls: Any) -> dict[str, Any]:
    """Return the default of each field of a dataclass that has one."""
    made = {f.name: f.default_factory() for f in dataclasses.fields(cls) if callable(f.default_factory)}
    return {f.name: f.default for f in dataclasses.fields(cls) if f.default is not dataclasses.MISSING} | made


def _default(cls: Any, name: str, default: Any) -> Any:
    if type(default) is cls:
        return getattr(default, name)
    return _field_defaults(cls).get(name, _NO_DEFAULT)
