"""YAML text into plain values, with the line of each value."""

from __future__ import annotations

import re
from typing import Any

import yaml

from study.config.problems import Keys, Problem, SpecError

MAX_VALUES = 50_000
"""Largest number of values in a document, those of an alias counted at each use."""

MAX_DEPTH = 100
"""Largest number of mappings and lists inside each other."""


def read_yaml(text: str, name: str, *, numbered: bool = True) -> tuple[Any, dict[Keys, str]]:
    """Return the values in `text` and the location of each.

    Scalars follow YAML 1.2: `1e-4` is a number, `no` and `1:30` are text, `012` is 12. Mapping keys stay text.

    Args:
        text: YAML document.
        name: file name or command-line option, for locations.
        numbered: give locations as "name:line"; otherwise as `name`.

    Raises:
        SpecError: `text` is not YAML, repeats a key, or uses tags, merge keys or recursive aliases, or is too large.

    Example:
        >>> read_yaml("lr: 1e-4", "a.yaml")
        ({'lr': 0.0001}, {(): 'a.yaml:1', ('lr',): 'a.yaml:1'})
    """
    reader = _Reader(name, numbered)
    return reader.values(text), reader.sources


_Loader: Any = type("_Loader", (getattr(yaml, "CSafeLoader", yaml.SafeLoader),), {"yaml_implicit_resolvers": {}})
"""Loader with YAML 1.2 scalars; libyaml's parser, where PyYAML has it, is nine times as fast as the one in Python."""

_TAG = "tag:yaml.org,2002:"
for _kind, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(f"^(?:{_pattern})$"), _first)


class _Reader:
    """Builder of plain values from YAML nodes that records locations and collects problems."""

    def __init__(self, name: str, numbered: bool) -> None:
        self.name, self.numbered = name, numbered
        self.sources: dict[Keys, str] = {}
        self._problems: list[Problem] = []
        self._count = 0
        self._parents: list[yaml.Node] = []

    def values(self, text: str) -> Any:
        try:
            self._check_depth(text)
            node = yaml.compose(text, Loader=_Loader)
        except yaml.YAMLError as error:
            mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
            where = f"{self.name}:{mark.line + 1}" if mark is not None and self.numbered else self.name
            raise SpecError([Problem((), f"not YAML: {problem or error}", where)]) from None
        built = self._build(node, ()) if node is not None else None
        if self._problems:
            raise SpecError(self._problems)
        return built

    def _check_depth(self, text: str) -> None:
        """Refuse a document that is nested too deeply, before the parser follows it recursively."""
        depth = 0
        for event in yaml.parse(text, Loader=_Loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                where = f"{self.name}:{event.start_mark.line + 1}" if self.numbered and event.start_mark else self.name
                text = f"found more than {MAX_DEPTH} mappings and lists inside each other, expected at most that many"
                raise SpecError([Problem((), text, where)])

    def _build(self, node: yaml.Node, keys: Keys) -> Any:
        self.sources[keys] = self._location(node)
        self._count += 1
        if self._count > MAX_VALUES:
            raise self._too_large(node, f"found more than {MAX_VALUES:,} values, expected at most that many")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, keys)
        if any(node is parent for parent in self._parents):
            return self._problem(node, keys, "contains itself")
        if node.tag not in (_TAG + "map", _TAG + "seq"):
            return self._problem(node, keys, f"the tag {node.tag} is not supported")
        self._parents.append(node)
        built = self._mapping(node, keys) if isinstance(node, yaml.MappingNode) else self._list(node, keys)
        self._parents.pop()
        return built

    def _mapping(self, node: yaml.MappingNode, keys: Keys) -> dict[str, Any]:
        built: dict[str, Any] = {}
        lines: dict[str, str] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode) or key == "<<":
                self._problem(key_node, keys, "expected plain text as key")
            elif key in built:
                self._problem(key_node, (*keys, key), f"duplicate key, first at {lines[key]}")
            else:
                lines[key] = self._location(key_node)
                built[key] = self._build(value_node, (*keys, key))
                self.sources[(*keys, key)] = lines[key]
        return built

    def _list(self, node: yaml.Node, keys: Keys) -> list[Any]:
        return [self._build(item, (*keys, number)) for number, item in enumerate(node.value)]

    def _scalar(self, node: yaml.ScalarNode, keys: Keys) -> Any:
        text: str = node.value
        try:
            return self._typed(node, text, keys)
        except ValueError:
            return self._problem(node, keys, f"found '{text}', which does not match its tag")

    def _typed(self, node: yaml.ScalarNode, text: str, keys: Keys) -> Any:
        match node.tag.removeprefix(_TAG):
            case "str":
                return text
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return int(text)
            case "float":
                return float(re.sub(r"\.(?=[a-zA-Z])", "", text))
        return self._problem(node, keys, f"the tag {node.tag} is not supported")

    def _location(self, node: yaml.Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}" if self.numbered else self.name

    def _too_large(self, node: yaml.Node, message: str) -> SpecError:
        return SpecError([Problem((), f"{message}; an alias counts at each use", self._location(node))])

    def _problem(self, node: yaml.Node, keys: Keys, message: str) -> None:
        self._problems.append(Problem(keys, message, self._location(node)))
