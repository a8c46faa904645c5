"""Catalogue of all registered components: what they are, where they come from, and their settings."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from study.config.plain import plain
from study.plugins.loading import NAMESPACE, registries
from trainables.augment.operation import OPERATIONS, Operation
from trainables.augment.policy import Policy
from trainables.common.plugin_code import plugin_of
from trainables.phantom import PHANTOMS

BUILT_IN = "built in"


@dataclass(frozen=True)
class Setting:
    """A setting of a component.

    Attributes:
        name: key in the study file.
        type: type of the value.
        default: default as JSON-able value; `REQUIRED` where there is none.
        text: its meaning.
    """

    name: str
    type: str
    default: Any
    text: str


REQUIRED = "(required)"


@dataclass(frozen=True)
class Component:
    """A registered component.

    Attributes:
        kind: kind of component, such as "pretext method".
        name: name in a study file.
        source: `BUILT_IN`, the study file's plug-in, or the installed package.
        summary: first sentence of its documentation.
        settings: its settings.
    """

    kind: str
    name: str
    source: str
    summary: str
    settings: Sequence[Setting]


def components() -> list[Component]:
    """Return all components of this process, by kind in the order of a study file, then by name."""
    found: dict[tuple[str, str], Component] = {}
    for registry in registries():
        for name, entry in registry.items():
            if registry is PHANTOMS:  # generated forms of the layouts
                continue
            cls = entry if isinstance(entry, type) else type(entry)
            made = Component(registry.kind, name, _source(cls), _summary(cls), _settings(cls))
            known = found.get((registry.kind, name))
            if known is None or not known.settings:
                found[registry.kind, name] = made
    for name, cls in policy_operations().items():
        found[OPERATIONS.kind, name] = Component(OPERATIONS.kind, name, BUILT_IN, _summary(cls), _settings(cls))
    order = list(dict.fromkeys(registry.kind for registry in registries()))
    return sorted(found.values(), key=lambda each: (order.index(each.kind), each.name))


def policy_operations() -> dict[str, type[Operation]]:
    """Return the class of each operation that is a key of `augment`, by that key."""
    kinds = {
        name: [each for each in typing.get_args(hint) if isinstance(each, type) and issubclass(each, Operation)]
        for name, hint in typing.get_type_hints(Policy).items()
    }
    return {name: found[0] for name, found in kinds.items() if found and name != "added"}


def _source(cls: type) -> str:
    plugin = plugin_of(cls)
    return BUILT_IN if plugin is None else plugin.removeprefix(f"{NAMESPACE}.")


def _summary(cls: type) -> str:
    """Return the first paragraph of a documentation on one line; the module's where the class's has but a name."""
    full = _first_paragraph(inspect.getdoc(cls))
    text = full.removeprefix("Settings of ")
    if text != full and len(text.split()) < 4:
        text = _first_paragraph(inspect.getdoc(inspect.getmodule(cls))) or text
    return text[:1].upper() + text[1:]


def _first_paragraph(text: str | None) -> str:
    return " ".join((text or "").partition("\n\n")[0].split())


def _settings(cls: type) -> list[Setting]:
    if not dataclasses.is_dataclass(cls):
        return []
    texts, types = _attribute_texts(cls), typing.get_type_hints(cls)
    return [
        Setting(field.name, _type_text(types[field.name]), _default(field), texts.get(field.name, ""))
        for field in dataclasses.fields(cls)
        if field.init
    ]


def _attribute_texts(cls: type) -> dict[str, str]:
    """Return the text of each entry in the sections `Attributes` of a class and its bases."""
    texts: dict[str, str] = {}
    for base in cls.__mro__:
        _, _, section = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")
        section = re.split(r"\n\S", section)[0]
        for name, text in re.findall(r"^    (\w+): (.*(?:\n        .*)*)", section, re.MULTILINE):
            texts.setdefault(name, " ".join(text.split()))
    return texts


def _type_text(hint: Any) -> str:
    """Return a type as a user reads it: `"same" | "all"`, `float | null`."""
    if typing.get_origin(hint) is typing.Literal:
        return " | ".join(map(str, typing.get_args(hint)))
    if hint is type(None):
        return "null"
    args = typing.get_args(hint)
    if args and typing.get_origin(hint) is tuple:
        return f"list of {_type_text(args[0])}"
    if args and typing.get_origin(hint) is not None and not isinstance(typing.get_origin(hint), type):
        return " | ".join(map(_type_text, args))
    if args and type(hint).__name__ == "UnionType":
        return " | ".join(map(_type_text, args))
    return getattr(hint, "__name__", str(hint))


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        value = field.default
    elif field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    else:
        return REQUIRED
    return plain(value) if not isinstance(value, str) else value
