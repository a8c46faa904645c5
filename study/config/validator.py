"""Validation of every cell of a study and of every range of its search space."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from study.config.documents import Document, split_path
from study.config.factors import Cell, FactorReader
from study.config.problems import Keys, Problem, SpecError, dotted
from study.config.ranges import Range, condition_holds, dependency_order, inner_condition
from study.config.renamed import current_path, renamed_path
from study.config.settings import parse
from study.config.space import ABSENT, active_space, get_setting
from study.config.spec import StudySpec
from trainables.common.errors import did_you_mean

SEARCHABLE_SECTIONS = ("network", "pretext", "registration", "propagation", "stages", "downstream")
"""Sections of a study file whose settings may be searched."""

MAX_CHECKED_CELLS = 1000
"""Number of cells above which only those that differ from the first in one factor are validated at load."""


class StudyValidator:
    """Validator that resolves the cells of a study and collects their problems.

    Args:
        document: contents of the study file.
        factors: reader of the document's factors.
        cells: combinations of factor levels, at least one.
        resolve: function from overrides by dotted path to settings; raises SpecError for invalid ones.
    """

    def __init__(
        self,
        document: Document,
        factors: FactorReader,
        cells: Sequence[Cell],
        resolve: Callable[[Mapping[str, Any]], StudySpec],
    ) -> None:
        self._document, self._factors, self._places = document, factors.factors, factors.places
        self._cells, self._resolve = cells, resolve
        first = cells[0].levels.items()
        self._near_first = [cell for cell in cells if len(first - cell.levels.items()) <= 1]

    def problems(self) -> Iterator[Problem]:
        """Yield the problems of the cells, of settings that factors replace, and of the search space.

        Overrides without effect are reported only where nothing else is wrong.
        """
        found = list(self._setting_problems())
        yield from found or self._override_problems()

    def _setting_problems(self) -> Iterator[Problem]:
        yield from self._cell_problems(self._cells if len(self._cells) <= MAX_CHECKED_CELLS else self._near_first)
        # Only these: without its factors' levels, a valid study may lack settings or have some that do not match.
        yield from (problem for problem in self._problems({}) if problem.unknown)
        space: dict[str, Range] = {}
        for path, choice in self._space().items():
            problems = [*self._path_problems(path), *self._condition_problems(path, choice)]
            yield from problems
            if not problems:
                space[path] = choice
        if space:
            yield from self._range_problems(space)

    def _cell_problems(self, cells: Iterable[Cell]) -> Iterator[Problem]:
        """Yield each problem once, located at the factor level that causes it, if one does."""
        known = set()
        for cell in cells:
            for problem in self._problems(cell.overrides):
                if problem not in known:
                    known.add(problem)
                    yield self._at_level(problem, cell)

    def _override_problems(self) -> Iterator[Problem]:
        """Yield a problem for each value of `--set` that a factor replaces in every cell."""
        for factor in self._factors:
            for path in set.intersection(*(set(level) for level in factor.levels.values())):
                keys = split_path(path, self._document.values)
                location = self._document.sources.get(keys, "")
                if location.startswith("--set ") and not location.startswith("--set factors"):
                    listed = isinstance(self._document.values["factors"].get(path), list)
                    fix = f"{path}=[VALUE, ...]" if listed else f"{factor.name}.LEVEL.{path}=VALUE"
                    text = (
                        f"has no effect, as every level of the factor '{factor.name}' sets it. Fix: --set factors.{fix}"
                    )
                    yield Problem(keys, text, location)

    def _at_level(self, problem: Problem, cell: Cell) -> Problem:
        """Return the problem, located at the level without which it does not occur."""
        for factor in self._factors:
            level = cell.levels[factor.name]
            settings = factor.levels[level]
            if problem not in self._problems({p: v for p, v in cell.overrides.items() if p not in settings}):
                location = self._document.locate(self._places[factor.name, level])
                return Problem(problem.keys, problem.message, f"{location} ({factor.name}={level})")
        return problem

    def _space(self) -> dict[str, Range]:
        """Return the valid ranges; the others are problems of every cell."""
        search = self._document.values.get("search")
        space = search.get("space") if isinstance(search, Mapping) else None
        ranges = {}
        for path, value in space.items() if isinstance(space, Mapping) else ():
            try:
                ranges[path] = parse(Range, value)
            except SpecError:
                continue
        return ranges

    def _path_problems(self, path: str) -> Iterator[Problem]:
        section, renamed = path.partition(".")[0], renamed_path(path)
        if section not in SEARCHABLE_SECTIONS:
            now = f" (now '{current_path(path)}')" if renamed else ""
            hint = did_you_mean(section, SEARCHABLE_SECTIONS)
            yield self._at_range(path, f"is not a setting that can be searched{now}{hint}")
        elif renamed:
            yield self._at_range(path, renamed)
        for factor in self._factors:
            if any(path in settings for settings in factor.levels.values()):
                yield self._at_range(path, f"is also set by the factor '{factor.name}'")

    def _condition_problems(self, path: str, choice: Range) -> Iterator[Problem]:
        """Yield a problem for each setting of a `when` condition that no cell has, and each value none accepts."""
        searched = self._space()
        for other, wanted in choice.when.items():
            if other in searched:
                continue
            renamed = renamed_path(other)
            if renamed:
                yield self._at_range(path, f"when: {renamed}")
                continue
            if not any(self._has(cell, other) for cell in self._near_first):
                hint = self._rejection(other, wanted, parents=True) or (
                    did_you_mean(other, searched) if searched else ""
                )
                yield self._at_range(path, f"when: no cell has a setting '{other}'{hint}")
                continue
            for value in wanted if isinstance(wanted, list | tuple) else [wanted]:
                rejection = self._rejection(other, value)
                if rejection:
                    yield self._at_range(path, f"when: no cell accepts this value{rejection}")

    def _rejection(self, path: str, value: Any, *, parents: bool = False) -> str:
        """Return why no cell accepts a value of a setting, as "; PATH: message"; empty if a cell does.

        Problems of other settings do not count, as the value may be valid together with others; those of the
        setting's parents count with `parents`.
        """
        keys = split_path(path, self._document.values)
        places = [keys[:length] for length in range(2 if parents else len(keys), len(keys) + 1)]
        reason = ""
        for cell in self._near_first:
            problem = next((p for p in self._problems({**cell.overrides, path: value}) if p.keys in places), None)
            if problem is None:
                return ""
            reason = reason or f"; {dotted(problem.keys)}: {problem.message}"
        return reason

    def _has(self, cell: Cell, path: str) -> bool:
        try:
            return get_setting(self._resolve(cell.overrides), path) is not ABSENT
        except SpecError:
            return True  # reported as the cell's problem

    def _range_problems(self, space: Mapping[str, Range]) -> Iterator[Problem]:
        """Yield a problem for each range with a value that a cell rejects; name the cell unless all reject it."""
        rejecting: dict[Problem, list[str]] = {}
        for cell in self._near_first:
            for problem in dict.fromkeys(self._range_problems_in(cell, space)):
                rejecting.setdefault(problem, []).append(cell.key)
        for problem, keys in rejecting.items():
            context = "" if len(keys) == len(self._near_first) else f" (in the cell {keys[0]})"
            yield Problem(problem.keys, problem.message + context, problem.location)

    def _range_problems_in(self, cell: Cell, space: Mapping[str, Range]) -> Iterator[Problem]:
        known = self._problems(cell.overrides)
        if known:
            space = {path: choice for path, choice in space.items() if choice.when.keys() <= space.keys()}
        else:
            space = active_space(self._resolve(cell.overrides), space)
        for number in range(max((len(choice.examples) for choice in space.values()), default=0)):
            for problem in self._problems({**cell.overrides, **_example(space, number)}):
                if problem not in known:
                    yield self._at_range(self._cause(space, problem.keys), problem.message)

    def _at_range(self, path: str, message: str) -> Problem:
        keys: Keys = ("search", "space", path)
        return Problem(keys, message, self._document.locate(keys))

    def _problems(self, overrides: Mapping[str, Any]) -> Sequence[Problem]:
        try:
            self._resolve(overrides)
        except SpecError as error:
            return error.problems
        return ()

    def _cause(self, space: Mapping[str, Range], keys: Keys) -> str:
        """Return the range nearest above a problem's place, else one below it, else the first."""
        places = {path: split_path(path, self._document.values) for path in space}
        above = [path for path, place in places.items() if place == keys[: len(place)]]
        below = [path for path, place in places.items() if keys and keys == place[: len(keys)]]
        return max(above, key=len) if above else [*below, *space][0]


def _example(space: Mapping[str, Range], number: int) -> dict[str, Any]:
    """Return one configuration of a space, with example `number` of each range whose condition holds."""
    values: dict[str, Any] = {}
    for path in dependency_order(space):
        examples = space[path].examples
        if condition_holds(inner_condition(space, path), values.get):
            values[path] = examples[number % len(examples)]
    return values
