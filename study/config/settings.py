"""Plain values into settings and back: frozen dataclasses, validated from their annotations.

A field annotated with an abstract base class (`optimizer: Optimizer`) is a choice of component. Its value is
`{name: adam, lr: 1e-3}`, or `adam` for short, and the base's registries say which class that is. A mapping without a
name goes on from the field's default. A class may have a static method `expand` that gives the full form of a value
written in some short form of its own.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import Field, Strict, TypeAdapter, ValidationError

from study.config.problems import Keys, Problem, SpecError, found
from study.config.renamed import renamed_key, renamed_name
from study.config.spec import COMPONENTS, Components
from trainables.common.errors import UserError, did_you_mean

T = TypeVar("T")

Memory = dict[tuple[Keys, int], Any]
"""Settings that have been read, by their place and the identity of the mapping they were read from."""


def parse(
    cls: Callable[..., T],
    value: Any,
    components: Components = COMPONENTS,
    *,
    where: Callable[[Keys], str] = lambda keys: "",
    memory: Memory | None = None,
    remember: bool = False,
) -> T:
    """The settings that `value` describes.

    Args:
        cls: a dataclass, a component base, or any other type that settings are made of.
        value: of mappings, lists and scalars; parts may be settings already.
        components: what the component bases stand for.
        where: gives the file and line of a value, for messages.
        memory: settings to take instead of reading the same mapping at the same place again.
        remember: also add to `memory`; whoever keeps it then keeps `value`, unchanged, as long.

    Raises:
        SpecError: with every problem of `value`.
    """
    reader = _Reader(components, {} if memory is None else memory, remember)
    settings: T = reader.read(cls, value, ())
    if reader.problems:
        raise SpecError(dataclasses.replace(problem, where=where(problem.keys)) for problem in reader.problems)
    return settings


def plain(settings: Any, components: Components = COMPONENTS) -> dict[str, Any]:
    """The mapping that `parse` reads as `settings`: JSON-able, complete, every component with its name."""
    values: dict[str, Any] = _plain(settings, components)
    return values


def canonical(value: Any) -> str:
    """JSON-able values as text that is the same for equal values: keys sorted, no spaces, floats exact, 1.0 as 1."""
    return json.dumps(_whole(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def component_name(cls: type, components: Components = COMPONENTS) -> str | None:
    """The registered name of a component's class; None if it is no component."""
    registries = (registry for base in cls.__mro__ for registry in components.get(base, ()))
    return next((name for registry in registries for name, entry in registry.items() if entry is cls), None)


_INVALID: Any = object()
_NOTHING: Any = object()

_LEAVES: dict[Any, tuple[TypeAdapter[Any], str]] = {
    bool: (TypeAdapter(Annotated[bool, Strict()]), "true or false"),
    int: (TypeAdapter(int), "a whole number"),
    float: (TypeAdapter(Annotated[float, Field(allow_inf_nan=False)]), "a number"),
    str: (TypeAdapter(Annotated[str, Strict()]), "text"),
}


class _Reader:
    """Reads one value, collecting problems. What is wrong reads as _INVALID, and so does what contains it."""

    def __init__(self, components: Components, memory: Memory, remember: bool) -> None:
        self.components, self.memory, self.remember = components, memory, remember
        self.problems: list[Problem] = []

    def read(self, cls: Any, value: Any, keys: Keys, default: Any = _NOTHING) -> Any:
        """`value` as a `cls`; `default` is what the place would hold without it."""
        origin, args = get_origin(cls), get_args(cls)
        if cls is Any:
            return value
        if cls in _LEAVES:
            return self._leaf(cls, value, keys)
        if origin in (Union, types.UnionType):
            return self._union(args, value, keys, default)
        if origin is Literal:
            return self._literal(cls, value, keys)
        if origin is tuple:
            return self._tuple(args, value, keys)
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return self._dict(args[1], value, keys)
        if cls is Path:
            return Path(value) if isinstance(value, str) else self._problem(keys, value, "a path")
        if dataclasses.is_dataclass(cls) or cls in self.components:
            return self._settings(cls, value, keys, default)
        raise TypeError(f"{cls!r}: not a type that settings can have")

    def _settings(self, cls: Any, value: Any, keys: Keys, default: Any) -> Any:
        if isinstance(value, cls):
            return value
        known = self.memory.get((keys, id(value)))
        if known is not None:
            return known
        try:
            full = cls.expand(value) if hasattr(cls, "expand") else value
        except ValueError as error:
            return self._problem(keys, value, str(error))
        read = self._component if cls in self.components else self._dataclass
        settings = read(cls, full, keys, default)
        if self.remember and settings is not _INVALID:
            self.memory[keys, id(value)] = settings
        return settings

    def _component(self, base: Any, value: Any, keys: Keys, default: Any) -> Any:
        registries = self.components[base]
        kind = registries[0].kind
        if isinstance(value, Mapping) and "name" not in value and isinstance(default, base):
            return self._dataclass(type(default), value, keys, default)
        name = value.get("name") if isinstance(value, Mapping) else value
        choices = {name: entry for registry in registries for name, entry in registry.items()}
        if not isinstance(name, str):
            return self._problem(keys, value, f"the {kind}'s name{did_you_mean('', choices)}")
        if name not in choices:
            at = (*keys, "name") if isinstance(value, Mapping) else keys
            return self._add(at, renamed_name(base, name) or f"unknown {kind} '{name}'{did_you_mean(name, choices)}")
        return self._dataclass(choices[name], value if isinstance(value, Mapping) else {}, keys, _NOTHING)

    def _dataclass(self, cls: Any, value: Any, keys: Keys, default: Any) -> Any:
        if not isinstance(value, Mapping):
            return self._problem(keys, value, "settings")
        fields, required = _fields(cls)
        values = {}
        for name, item in value.items():
            if name in fields:
                values[name] = self.read(fields[name], item, (*keys, name), _default(cls, name, default))
            elif name != "name" or item != component_name(cls, self.components):
                self._add((*keys, name), renamed_key(cls, name) or f"unknown key{did_you_mean(name, fields)}")
                values[name] = _INVALID
        if type(default) is cls:
            values = {name: getattr(default, name) for name in fields} | values
        for name in required:
            if name not in values:
                self._add((*keys, name), "missing, and it has no default")
                values[name] = _INVALID
        return self._built(cls, values, keys)

    def _built(self, cls: Any, values: dict[str, Any], keys: Keys) -> Any:
        if any(value is _INVALID for value in values.values()):
            return _INVALID
        try:
            return cls(**values)
        except (ValueError, UserError) as error:
            return self._add(keys, str(error))

    def _leaf(self, cls: type, value: Any, keys: Keys) -> Any:
        adapter, expected = _LEAVES[cls]
        if type(value) is bool and cls is not bool:
            return self._problem(keys, value, expected)
        try:
            return adapter.validate_python(value)
        except ValidationError:
            return self._problem(keys, value, expected)

    def _union(self, choices: tuple[Any, ...], value: Any, keys: Keys, default: Any) -> Any:
        if value is None and types.NoneType in choices:
            return None
        rest = [choice for choice in choices if choice is not types.NoneType]
        if type(value) in rest:
            rest = [type(value)]
        attempts = []
        for choice in rest:
            attempt = _Reader(self.components, self.memory, self.remember)
            read = attempt.read(choice, value, keys, default)
            if not attempt.problems:
                return read
            attempts.append(attempt.problems)
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
            return self._add(keys, renamed_name(cls, value) or unknown)
        return self._problem(keys, value, f"one of: {', '.join(map(str, choices))}")

    def _tuple(self, args: tuple[Any, ...], value: Any, keys: Keys) -> Any:
        many = len(args) == 2 and args[1] is Ellipsis
        if not isinstance(value, list | tuple) or not (many or len(value) == len(args)):
            return self._problem(keys, value, "a list" if many else f"a list of {len(args)}")
        items = [self.read(args[0 if many else i], item, (*keys, i)) for i, item in enumerate(value)]
        return _INVALID if any(item is _INVALID for item in items) else tuple(items)

    def _dict(self, cls: Any, value: Any, keys: Keys) -> Any:
        if not isinstance(value, Mapping):
            return self._problem(keys, value, "a mapping")
        items = {name: self.read(cls, item, (*keys, name)) for name, item in value.items()}
        return _INVALID if any(item is _INVALID for item in items.values()) else items

    def _problem(self, keys: Keys, value: Any, expected: str) -> Any:
        return self._add(keys, f"found {found(value)}, expected {expected}")

    def _add(self, keys: Keys, message: str) -> Any:
        self.problems.append(Problem(keys, message))
        return _INVALID


@functools.cache
def _fields(cls: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The types of a dataclass's fields by name, and the names of those without a default."""
    hints = get_type_hints(cls)
    fields = [field for field in dataclasses.fields(cls) if field.init]
    required = [f.name for f in fields if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING]
    return {field.name: hints[field.name] for field in fields}, tuple(required)


@functools.cache
def _own_defaults(cls: Any) -> dict[str, Any]:
    """What the fields of a dataclass hold by default; those without a default are left out."""
    made = {f.name: f.default_factory() for f in dataclasses.fields(cls) if callable(f.default_factory)}
    return {f.name: f.default for f in dataclasses.fields(cls) if f.default is not dataclasses.MISSING} | made


def _default(cls: Any, name: str, default: Any) -> Any:
    if type(default) is cls:
        return getattr(default, name)
    return _own_defaults(cls).get(name, _NOTHING)


def _whole(value: Any) -> Any:
    """`value` with every float that is a whole number as an int."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, Mapping):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(item) for item in value]
    return value


def _plain(value: Any, components: Components) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _plain(item, components) for name, item in value.items()}
    if isinstance(value, Sequence):
        return [_plain(item, components) for item in value]
    if not dataclasses.is_dataclass(value):
        raise TypeError(f"{value!r}: not something that settings can hold")
    name = component_name(type(value), components)
    named = {} if name is None else {"name": name}
    fields = [field.name for field in dataclasses.fields(value) if field.init]
    return named | {field: _plain(getattr(value, field), components) for field in fields}
