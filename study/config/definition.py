"""A study as declared: its file, its cells, and the settings of any configuration in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import search_spaces
from study.config.catalog import find
from study.config.checks import Checker
from study.config.datasets import with_data
from study.config.documents import Document, override, read, with_profile, with_sets
from study.config.factors import FULL, Cell, FactorReader, cells_of, design_problems
from study.config.problems import Keys, Problem, SpecError
from study.config.settings import Memory, parse, plain
from study.config.spec import Design, StudySpec


class Study:
    """A study whose every cell and range has been checked.

    Attributes:
        spec: its settings; where factors vary them, as in the first cell.

    Raises:
        SpecError: with everything that is wrong in `document`.
    """

    def __init__(self, document: Document) -> None:
        reader = FactorReader(document)
        self._document = _without_dropped_ranges(document)
        self._factors = tuple(reader.factors)
        design = _design(document)
        self._cells = cells_of(self._factors, design)
        self._memory: Memory = {}
        problems = [
            *reader.problems,
            *design_problems(self._factors, design, document),
            *Checker(self._document, reader, self._cells, self.resolve).problems(),
        ]
        if problems:
            raise SpecError(problems)
        # Kept, as the memory knows its parts by their identity.
        self._first = self._values(self._cells[0].overrides)
        self.spec = parse(StudySpec, self._first, memory=self._memory, remember=True)
        share, cells = self.spec.budget.trials, len(self._cells)
        if share is not None and share < cells and self.spec.search.space:
            keys: Keys = ("budget", "trials")
            text = f"found {share}, expected at least one trial for each of the {cells} cells"
            raise SpecError([Problem(keys, text, document.where(keys))])

    def cells(self) -> Sequence[Cell]:
        """The combinations of the factors' levels that the design takes."""
        return self._cells

    def resolve(self, overrides: Mapping[str, Any]) -> StudySpec:
        """The study's settings with some changed, by dotted path.

        Another component's name in the place of one drops the settings of the old one.

        Raises:
            SpecError: they make no valid study.
        """
        return parse(StudySpec, self._values(overrides), where=self._document.where, memory=self._memory)

    def document(self) -> dict[str, Any]:
        """Everything that is declared, defaults included, as JSON-able values."""
        return plain(self.spec)

    def _values(self, overrides: Mapping[str, Any]) -> dict[str, Any]:
        return {**override(self._document.values, overrides), "factors": self._factors}


def load_study(
    source: str,
    *,
    profile: str | None = None,
    sets: Sequence[str] = (),
    data: Sequence[str] = (),
    name: str | None = None,
) -> Study:
    """Read and validate a study.

    Args:
        source: a YAML file, or the name of one in the current folder or in search_spaces.
        profile: of the file, whose settings go over the others.
        sets: "dotted.path=value" each; they go over the profile.
        data: "LAYOUT=PATH" each: where a dataset lies.
        name: to run it under. By default its own, or the file's, and the profile and the layouts of other data than the
            file says: "quickstart-smoke-camus".

    Raises:
        UserError: there is no such study or file.
        SpecError: with everything that is wrong in it.
    """
    path = find(source)
    document = with_sets(with_profile(read(path, search_spaces.FOLDER), profile), sets)
    document, layouts = with_data(document, data)
    if name is not None:
        return Study(document.set("name", name, "--name"))
    own = document.values.get("name", path.stem)
    if isinstance(own, str):
        document = document.set("name", "-".join([own, *([profile] if profile else []), *layouts]), str(path))
    return Study(document)


def _design(document: Document) -> Design:
    """The file's, if it can be read; what is wrong with it is a problem of every cell."""
    try:
        return parse(Design, document.values.get("design") or {})
    except SpecError:
        return FULL


def _without_dropped_ranges(document: Document) -> Document:
    """A range that is null is left out, so that a profile can drop it."""
    search = document.values.get("search")
    space = search.get("space") if isinstance(search, Mapping) else None
    if not isinstance(search, Mapping) or not isinstance(space, Mapping) or None not in space.values():
        return document
    kept = {path: choice for path, choice in space.items() if choice is not None}
    return Document({**document.values, "search": {**search, "space": kept}}, document.sources)
