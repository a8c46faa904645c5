"""Factors of a study file, and the cells that combine their levels."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from study.config.documents import Document
from study.config.problems import Keys, Problem, describe
from study.config.renamed import current_path
from study.config.spec import MAX_NAME, Design, Factor
from trainables.common.errors import did_you_mean

FACTOR_SECTIONS = ("data", "pretext_data", "network", "pretext", "registration", "propagation", "stages", "downstream")
"""Sections of a study file whose settings a factor may vary."""

FULL_DESIGN = Design()

RECORD_NAMES = ("study", "kind", "stage", "cell", "digest", "index", "reason", "learning", "censored", "superseded")
"""Tags of a job's run in MLflow; a factor of such a name would replace them."""

MAX_CELLS = 20_000
"""Largest number of cells of a design, counted before `exclude` and `only`."""

SINGLE_CELL = "all"
"""Key of the only cell of a study without factors."""


@dataclass(frozen=True)
class Cell:
    """One combination of the factors' levels.

    Attributes:
        key: text that names the cell, "method=simclr,label_fraction=0.05".
        levels: level name by factor name.
        overrides: settings of the levels, by dotted path.
    """

    key: str
    levels: Mapping[str, str]
    overrides: Mapping[str, Any]


def cells_of(factors: Sequence[Factor], design: Design = FULL_DESIGN) -> list[Cell]:
    """Return the cells of a design; the last factor changes fastest."""
    levels = [list(factor.levels) for factor in factors]
    if design.kind == "full":
        return [cell_of(factors, names) for names in itertools.product(*levels)]
    varied = [number for number, factor in enumerate(factors) if not design.factors or factor.name in design.factors]
    base_level = 0 if design.kind == "one_out" else -1
    base = [[names[base_level]] if number in varied else names for number, names in enumerate(levels)]
    changed = ([*base[:number], levels[number], *base[number + 1 :]] for number in varied)
    chosen = {names for each in (base, *changed) for names in itertools.product(*each)}
    places = [{name: place for place, name in enumerate(names)} for names in levels]
    order = sorted(chosen, key=lambda names: [place[name] for place, name in zip(places, names, strict=True)])
    return [cell_of(factors, names) for names in order]


def count_cells(factors: Sequence[Factor], design: Design = FULL_DESIGN) -> int:
    """Return the number of cells of a design without making them.

    Example:
        >>> pair = {"a": {}, "b": {}}
        >>> count_cells([Factor(name, pair) for name in "xyz"], Design("one_out"))
        4
    """
    varied = [
        factor for factor in factors if design.kind != "full" and (factor.name in design.factors or not design.factors)
    ]
    combined = math.prod(len(factor.levels) for factor in factors if factor not in varied)
    return combined * (1 + sum(len(factor.levels) - 1 for factor in varied))


def crowd_problems(factors: Sequence[Factor], design: Design, document: Document) -> list[Problem]:
    """Return a problem if a design has more than `MAX_CELLS` cells."""
    count = count_cells(factors, design)
    if count <= MAX_CELLS:
        return []
    text = f"found {count:,} cells, expected at most {MAX_CELLS:,}. Fix: leave out factors or levels"
    return [Problem(("factors",), text, document.locate(("factors",)))]


def design_problems(factors: Sequence[Factor], design: Design, document: Document) -> Iterator[Problem]:
    """Yield a problem for each factor that a design names and the study lacks."""
    known = [factor.name for factor in factors]
    for name in design.factors:
        if name not in known:
            keys: Keys = ("design", "factors")
            yield Problem(keys, f"the study has no factor '{name}'{did_you_mean(name, known)}", document.locate(keys))


def cell_of(factors: Sequence[Factor], names: Sequence[str]) -> Cell:
    """Return the cell with these levels, one for each factor."""
    chosen = list(zip(factors, names, strict=True))
    overrides = {path: value for factor, name in chosen for path, value in factor.levels[name].items()}
    key = ",".join(f"{factor.name}={name}" for factor, name in chosen)
    return Cell(key or SINGLE_CELL, {factor.name: name for factor, name in chosen}, overrides)


class FactorReader:
    """Reader of a study file's `factors`, which have two forms.

    `dotted.path: [value, ...]` declares a level for each value, named after it; the last part of the path names the
    factor. `name: {level: {dotted.path: value, ...}, ...}` declares named levels. A null factor is dropped, so that a
    profile can remove one.

    Attributes:
        factors: list of the valid factors.
        problems: list of problems of the invalid factors.
        places: path in the document by (factor name, level name).
    """

    def __init__(self, document: Document) -> None:
        self.factors: list[Factor] = []
        self.problems: list[Problem] = []
        self.places: dict[tuple[str, str], Keys] = {}
        self._document = document
        entries = document.values.get("factors") or {}
        if not isinstance(entries, Mapping):
            self._add(("factors",), f"found {describe(entries)}, expected a mapping of factors")
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
        if not set(name) & set(",=/"):
            self._check_factor_name(name, keys)
        levels: dict[str, dict[str, Any]] = {}
        if not isinstance(entry, Mapping | list) or not entry:
            self._add(keys, f"found {describe(entry)}, expected a list of values, or levels by name")
        elif isinstance(entry, list):
            self._check_path(key, keys)
            for number, value in enumerate(entry):
                self._level(name, _level_name(value), (*keys, number), {key: value}, levels)
        else:
            for level, settings in entry.items():
                self._level(name, level, (*keys, level), settings, levels)
            for level, settings in levels.items():
                for path in settings:
                    self._check_path(path, (*keys, level))
        if len(self.problems) == before:
            self.factors.append(Factor(name, levels))

    def _level(
        self, factor: str, name: str | None, keys: Keys, settings: Any, levels: dict[str, dict[str, Any]]
    ) -> None:
        if name is None:
            self._add(keys, "this value cannot name a level. Fix: write `factor: {level: {dotted.path: value}}`")
        elif name in levels:
            self._add(
                keys, f"duplicate level '{name}'. Fix: name the levels, `factor: {{level: {{dotted.path: value}}}}`"
            )
        elif settings is None:
            text = "found nothing, expected settings by dotted path ({} for those of the study)"
            self._add(keys, f"{text}. Fix: leave the level out, as a factor replaces that of an included file whole")
        elif not isinstance(settings, Mapping):
            self._add(keys, f"found {describe(settings)}, expected settings by dotted path")
        else:
            self._check_name(name, keys)
            levels[name] = dict(settings)
            self.places[factor, name] = keys

    def _check_name(self, name: str, keys: Keys) -> None:
        if not name or set(name) & set(",=/"):
            self._add(keys, f"found the name '{name}', expected one without ',', '=' and '/'")

    def _check_factor_name(self, name: str, keys: Keys) -> None:
        """Report a name that MLflow refuses as a parameter, or that a job's record uses for something else."""
        if name in RECORD_NAMES:
            self._add(keys, f"found the name '{name}', which every job's record has already. Fix: rename the factor")
        elif len(name) > MAX_NAME or not re.fullmatch(r"[\w.\- ]*", name) or name.strip(". ") != name:
            text = "letters, digits, spaces and '._-', not at its ends '.' or ' '"
            self._add(keys, f"found the name '{name}', expected up to {MAX_NAME} {text}")

    def _check_path(self, path: str, keys: Keys) -> None:
        root = path.partition(".")[0]
        if root not in FACTOR_SECTIONS:
            current = current_path(path)
            now = f" (now '{current}')" if current else ""
            hint = did_you_mean(root, FACTOR_SECTIONS)
            self._add(keys, f"'{path}'{now} is not a setting that a factor can vary{hint}")

    def _refuse_shared_settings(self) -> None:
        """Report settings that two factors set, as one would override the other."""
        owners: dict[str, str] = {}
        for factor in self.factors:
            for path in dict.fromkeys(path for level in factor.levels.values() for path in level):
                other = owners.setdefault(path, factor.name)
                if other != factor.name:
                    keys = self.places[factor.name, next(iter(factor.levels))]
                    self._add(keys, f"{path} is also set by the factor '{other}'")

    def _add(self, keys: Keys, message: str) -> None:
        self.problems.append(Problem(keys, message, self._document.locate(keys)))


def _level_name(value: Any) -> str | None:
    """Return the name of a level with this value, or None for a value that cannot name one."""
    if isinstance(value, Mapping):
        name = value.get("name")
        return name if isinstance(name, str) else None
    if isinstance(value, list):
        return None
    return value if isinstance(value, str) else json.dumps(value)
