"""The `factors` of a study file, and the cells that are their combinations."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from study.config.documents import Document
from study.config.problems import Keys, Problem, found
from study.config.spec import Design, Factor
from trainables.common.errors import did_you_mean

VARIED = ("data", "pretext_data", "network", "pretext", "registration", "propagation", "downstream")
"""Parts of a study whose settings may be levels of a factor."""

FULL = Design()

WHOLE = "all"
"""Key of the only cell of a study without factors."""


@dataclass(frozen=True)
class Cell:
    """One combination of the factors' levels.

    Attributes:
        key: "method=simclr,label_fraction=0.05".
        levels: name of the level by name of the factor.
        overrides: the settings they stand for, by dotted path.
    """

    key: str
    levels: Mapping[str, str]
    overrides: Mapping[str, Any]


def cells_of(factors: Sequence[Factor], design: Design = FULL) -> list[Cell]:
    """The combinations that a design takes, the last factor changing fastest."""
    every = itertools.product(*(factor.levels for factor in factors))
    if design.kind == "full":
        return [cell_of(factors, names) for names in every]
    alone = [number for number, factor in enumerate(factors) if not design.factors or factor.name in design.factors]
    start = 0 if design.kind == "one_out" else -1
    base = {number: list(factors[number].levels)[start] for number in alone}
    return [cell_of(factors, names) for names in every if sum(names[n] != base[n] for n in alone) <= 1]


def design_problems(factors: Sequence[Factor], design: Design, document: Document) -> Iterator[Problem]:
    """Factors of a design that the study does not have."""
    known = [factor.name for factor in factors]
    for name in design.factors:
        if name not in known:
            keys: Keys = ("design", "factors")
            yield Problem(keys, f"the study has no factor '{name}'{did_you_mean(name, known)}", document.where(keys))


def cell_of(factors: Sequence[Factor], names: Sequence[str]) -> Cell:
    """The cell of these levels, one for each factor."""
    chosen = list(zip(factors, names, strict=True))
    overrides = {path: value for factor, name in chosen for path, value in factor.levels[name].items()}
    key = ",".join(f"{factor.name}={name}" for factor, name in chosen)
    return Cell(key or WHOLE, {factor.name: name for factor, name in chosen}, overrides)


class FactorReader:
    """Reads a study file's `factors`, which come in two forms.

    `dotted.path: [value, ...]` has a level for each value, named after it; the factor's name is the path's last part.
    `name: {level: {dotted.path: value, ...}, ...}` has a level for each set of settings. One that is null is left out,
    so that a profile can drop a factor.

    Attributes:
        factors: that could be read.
        problems: of the rest.
        places: where each (factor, level) is in the document.
    """

    def __init__(self, document: Document) -> None:
        self.factors: list[Factor] = []
        self.problems: list[Problem] = []
        self.places: dict[tuple[str, str], Keys] = {}
        self._document = document
        entries = document.values.get("factors") or {}
        if not isinstance(entries, Mapping):
            self._add(("factors",), f"found {found(entries)}, expected a mapping of factors")
            return
        entries = {key: entry for key, entry in entries.items() if entry is not None}
        lists = Counter(key.rpartition(".")[2] for key, entry in entries.items() if isinstance(entry, list))
        for key, entry in entries.items():
            short = key.rpartition(".")[2]
            name = short if isinstance(entry, list) and lists[short] == 1 and short not in entries else key
            self._factor(name, key, entry)
        self._refuse_shared_settings()

    def _factor(self, name: str, key: str, entry: Any) -> None:
        keys: Keys = ("factors", key)
        before = len(self.problems)
        self._check_name(name, keys)
        levels: dict[str, dict[str, Any]] = {}
        if not isinstance(entry, Mapping | list) or not entry:
            self._add(keys, f"found {found(entry)}, expected a list of values, or levels by name")
        elif isinstance(entry, list):
            self._check_path(key, keys)
            for number, value in enumerate(entry):
                self._level(name, _level_name(value), (*keys, number), {key: value}, levels)
        else:
            for level, settings in entry.items():
                self._level(name, level, (*keys, level), {} if settings is None else settings, levels)
            for level, settings in levels.items():
                for path in settings:
                    self._check_path(path, (*keys, level))
        if len(self.problems) == before:
            self.factors.append(Factor(name, levels))

    def _level(
        self, factor: str, name: str | None, keys: Keys, settings: Any, levels: dict[str, dict[str, Any]]
    ) -> None:
        if name is None:
            self._add(keys, "this value gives the level no name; write `factor: {level: {dotted.path: value}}`")
        elif name in levels:
            self._add(
                keys, f"a second level '{name}'; to name levels, write `factor: {{level: {{dotted.path: value}}}}`"
            )
        elif not isinstance(settings, Mapping):
            self._add(keys, f"found {found(settings)}, expected settings by dotted path")
        else:
            self._check_name(name, keys)
            levels[name] = dict(settings)
            self.places[factor, name] = keys

    def _check_name(self, name: str, keys: Keys) -> None:
        if not name or set(name) & set(",=/"):
            self._add(keys, f"found the name '{name}', expected one without ',', '=' and '/'")

    def _check_path(self, path: str, keys: Keys) -> None:
        root = path.partition(".")[0]
        if root not in VARIED:
            self._add(keys, f"'{path}' is no setting that a factor can vary{did_you_mean(root, VARIED)}")

    def _refuse_shared_settings(self) -> None:
        """Two factors that set the same thing would hide each other."""
        owners: dict[str, str] = {}
        for factor in self.factors:
            for path in dict.fromkeys(path for level in factor.levels.values() for path in level):
                other = owners.setdefault(path, factor.name)
                if other != factor.name:
                    keys = self.places[factor.name, next(iter(factor.levels))]
                    self._add(keys, f"{path} is also set by the factor '{other}'")

    def _add(self, keys: Keys, message: str) -> None:
        self.problems.append(Problem(keys, message, self._document.where(keys)))


def _level_name(value: Any) -> str | None:
    """What a level with only this value is called; None if the value does not say."""
    if isinstance(value, Mapping):
        name = value.get("name")
        return name if isinstance(name, str) else None
    if isinstance(value, list):
        return None
    return value if isinstance(value, str) else json.dumps(value)
