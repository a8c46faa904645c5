"""Does every cell of a study, and every configuration that its search may try, make sense?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from study.config.documents import Document, split_path
from study.config.factors import Cell, FactorReader
from study.config.problems import Keys, Problem, SpecError
from study.config.ranges import Range, holds, in_order, inner_condition
from study.config.settings import parse
from study.config.space import ABSENT, setting, space_of
from study.config.spec import StudySpec
from trainables.common.errors import did_you_mean

SEARCHED = ("network", "pretext", "registration", "propagation", "downstream")
"""Parts of a study whose settings may be searched."""

MANY = 1000
"""Of a study with more cells, only those that differ from the first in one factor are checked when it is loaded."""


class Checker:
    """Resolves cells of a study and gathers what is wrong.

    Args:
        document: the study's file.
        factors: as read from it.
        cells: of the study.
        resolve: gives the settings under overrides, or raises SpecError.
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
        self._one_apart = [cell for cell in cells if len(first - cell.levels.items()) <= 1]

    def problems(self) -> Iterator[Problem]:
        """Everything that is wrong in the settings, then in the search space."""
        yield from self._cell_problems(self._cells if len(self._cells) <= MANY else self._one_apart)
        space: dict[str, Range] = {}
        for path, choice in self._space().items():
            problems = [*self._path_problems(path), *self._condition_problems(path, choice)]
            yield from problems
            if not problems:
                space[path] = choice
        if space:
            yield from self._range_problems(space)

    def _cell_problems(self, cells: Iterable[Cell]) -> Iterator[Problem]:
        """Each problem once, with the place of the level that brought it, if one did."""
        known = set()
        for cell in cells:
            for problem in self._problems(cell.overrides):
                if problem not in known:
                    known.add(problem)
                    yield self._placed(problem, cell)

    def _placed(self, problem: Problem, cell: Cell) -> Problem:
        """The problem with the place of the level without which it would not be there."""
        for factor in self._factors:
            level = cell.levels[factor.name]
            brought = factor.levels[level]
            if problem not in self._problems({p: v for p, v in cell.overrides.items() if p not in brought}):
                where = self._document.where(self._places[factor.name, level])
                return Problem(problem.keys, problem.message, f"{where} ({factor.name}={level})")
        return problem

    def _space(self) -> dict[str, Range]:
        """The ranges that can be read; what is wrong with the others is a problem of every cell."""
        search = self._document.values.get("search")
        space = search.get("space") if isinstance(search, Mapping) else None
        read = {}
        for path, value in space.items() if isinstance(space, Mapping) else ():
            try:
                read[path] = parse(Range, value)
            except SpecError:
                continue
        return read

    def _path_problems(self, path: str) -> Iterator[Problem]:
        root = path.partition(".")[0]
        if root not in SEARCHED:
            yield self._at_range(path, f"is no setting that can be searched{did_you_mean(root, SEARCHED)}")
        for factor in self._factors:
            if any(path in settings for settings in factor.levels.values()):
                yield self._at_range(path, f"is also set by the factor '{factor.name}'")

    def _condition_problems(self, path: str, choice: Range) -> Iterator[Problem]:
        """What a range waits for must be a setting, of some cell at least."""
        searched = self._space()
        for other in choice.when:
            if other not in searched and not any(self._has(cell, other) for cell in self._one_apart):
                near = did_you_mean(other, searched)
                yield self._at_range(path, f"when: no cell has a setting '{other}'{near if searched else ''}")

    def _has(self, cell: Cell, path: str) -> bool:
        try:
            return setting(self._resolve(cell.overrides), path) is not ABSENT
        except SpecError:
            return True  # the cell's own problem is told

    def _range_problems(self, space: Mapping[str, Range]) -> Iterator[Problem]:
        """Ranges that hold a value which some cell could not take; the cell is named unless it is so in all."""
        failing: dict[Problem, list[str]] = {}
        for cell in self._one_apart:
            for problem in dict.fromkeys(self._range_problems_in(cell, space)):
                failing.setdefault(problem, []).append(cell.key)
        for problem, keys in failing.items():
            context = "" if len(keys) == len(self._one_apart) else f" (in the cell {keys[0]})"
            yield Problem(problem.keys, problem.message + context, problem.where)

    def _range_problems_in(self, cell: Cell, space: Mapping[str, Range]) -> Iterator[Problem]:
        known = self._problems(cell.overrides)
        if known:
            space = {path: choice for path, choice in space.items() if choice.when.keys() <= space.keys()}
        else:
            space = space_of(self._resolve(cell.overrides), space)
        for turn in range(max((len(choice.examples) for choice in space.values()), default=0)):
            values: dict[str, Any] = {}
            for path in in_order(space):
                examples = space[path].examples
                if holds(inner_condition(space, path), values.get):
                    values[path] = examples[turn % len(examples)]
            for problem in self._problems({**cell.overrides, **values}):
                if problem not in known:
                    path = next((path for path in space if self._related(path, problem.keys)), next(iter(space)))
                    yield self._at_range(path, problem.message)

    def _at_range(self, path: str, message: str) -> Problem:
        keys: Keys = ("search", "space", path)
        return Problem(keys, message, self._document.where(keys))

    def _problems(self, overrides: Mapping[str, Any]) -> Sequence[Problem]:
        try:
            self._resolve(overrides)
        except SpecError as error:
            return error.problems
        return ()

    def _related(self, path: str, keys: Keys) -> bool:
        """Whether one of the two places is the other or contains it."""
        own = split_path(path, self._document.values)
        shared = min(len(own), len(keys))
        return shared > 0 and own[:shared] == keys[:shared]
