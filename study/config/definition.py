"""A validated study: its settings, its cells, and the settings of any configuration in a cell."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import search_spaces
from study.config.catalog import find
from study.config.cell_filter import FilterReader
from study.config.datasets import with_data
from study.config.documents import Document, override_paths, read, with_profile, with_sets
from study.config.factors import FULL_DESIGN, MAX_CELLS, Cell, FactorReader, cells_of, crowd_problems, design_problems
from study.config.plain import canonical, plain
from study.config.problems import Keys, Problem, SpecError
from study.config.settings import ParseCache, parse
from study.config.spec import Design, StudySpec
from study.config.validator import StudyValidator
from study.plugins.declared import declared_sources
from study.plugins.loading import load_installed, load_sources
from study.plugins.source import PluginSource
from study.storage.node_cache import node_cache

MAX_RESOLVED = 2 * MAX_CELLS
"""Number of configurations whose settings are remembered."""


class Study:
    """A study whose cells and search space are valid.

    Args:
        document: values of the study file.
        plugins: the plug-ins of an earlier launch; None reads those that the study file names.

    Attributes:
        plugins: source of the plug-ins that the study file names.
        spec: settings of the study; those that factors vary have the value of the first cell.

    Raises:
        SpecError: with every problem of `document`.
    """

    def __init__(self, document: Document, plugins: Sequence[PluginSource] | None = None) -> None:
        self.plugins = declared_sources(document) if plugins is None else list(plugins)
        load_installed()
        load_sources(self.plugins, node_cache)
        reader = FactorReader(document)
        self._document = _without_null_ranges(document)
        self._factors = tuple(reader.factors)
        design = _design(document)
        crowd = crowd_problems(self._factors, design, document)
        if crowd:
            raise SpecError([*reader.problems, *crowd])
        filters = FilterReader(document, self._factors)
        chosen, designed = filters.read(), cells_of(self._factors, design)
        self._cells = [cell for cell in designed if chosen.keeps(cell.levels)]
        if not self._cells:
            filters.problems.append(Problem((), "exclude and only leave no cell", document.locate(("exclude",))))
            self._cells = designed  # to find their problems, too
        self._forget()
        problems = [
            *reader.problems,
            *design_problems(self._factors, design, document),
            *filters.problems,
            *StudyValidator(self._document, reader, self._cells, self.resolve).problems(),
        ]
        if problems:
            raise SpecError(problems)
        self._read_first_cell()
        self._check_budget()

    def cells(self) -> Sequence[Cell]:
        """Return the cells of the study's design."""
        return self._cells

    def resolve(self, overrides: Mapping[str, Any]) -> StudySpec:
        """Return the study's settings with some changed by dotted path.

        A component that is replaced by one of another name loses its settings.

        Raises:
            SpecError: the changed settings are invalid.
        """
        key = canonical(overrides)
        if key not in self._resolved:
            if len(self._resolved) > MAX_RESOLVED:
                self._resolved.clear()
            values = self._values(overrides)
            self._resolved[key] = parse(StudySpec, values, locate=self._document.locate, cache=self._cache)
        return self._resolved[key]

    def with_gpus(self, gpus: Mapping[str, float]) -> Study:
        """Return this study with other GPUs for each worker of some stages.

        Args:
            gpus: number by name of the stage's resources, such as "pretext" or "stages.NAME".
        """
        other = copy.copy(self)
        changed = {f"resources.{name}.gpus": number for name, number in gpus.items()}
        other._document = Document(override_paths(self._document.values, changed), self._document.sources)
        other._forget()
        other._read_first_cell()
        return other

    def document(self) -> dict[str, Any]:
        """Return all settings, defaults included, as JSON-able values."""
        return plain(self.spec)

    def _forget(self) -> None:
        """Begin with no configuration read."""
        self._cache: ParseCache = {}
        self._resolved: dict[str, StudySpec] = {}

    def _read_first_cell(self) -> None:
        """Read the settings of the first cell, whose parts that do not vary all later configurations share."""
        # The cache identifies mappings by `id`: these values must stay alive.
        self._first_cell = self._values(self._cells[0].overrides)
        self.spec = parse(StudySpec, self._first_cell, cache=self._cache, fill_cache=True)
        self._resolved.clear()

    def _values(self, overrides: Mapping[str, Any]) -> dict[str, Any]:
        return {**override_paths(self._document.values, overrides), "factors": self._factors}

    def _check_budget(self) -> None:
        trials, cells = self.spec.budget.trials, len(self._cells)
        if trials is not None and trials < cells and self.spec.search.space:
            keys: Keys = ("budget", "trials")
            text = f"found {trials}, expected at least one trial for each of the {cells} cells"
            raise SpecError([Problem(keys, text, self._document.locate(keys))])


def load_study(
    source: str,
    *,
    profile: str | None = None,
    sets: Sequence[str] = (),
    data: Sequence[str] = (),
    name: str | None = None,
) -> Study:
    """Read and validate a study file.

    Args:
        source: path of a YAML file, or name of a study file in the current folder or in search_spaces.
        profile: name of one of the file's profiles; its settings override the file's. None for no profile.
        sets: "dotted.path=value" each; override the file and the profile.
        data: "LAYOUT=PATH" each: folder of a dataset.
        name: name of the study. None for the name in the file (by default the file's), followed by the profile and by
            the layouts of replaced datasets: "quickstart-smoke-camus".

    Raises:
        UserError: the study or a file does not exist.
        SpecError: with every problem of the file.

    Example:
        >>> load_study("quickstart", sets=["seed=1"]).spec.seed
        1
    """
    path = find(source)
    load_installed()
    document = with_sets(with_profile(read(path, search_spaces.FOLDER), profile), sets)
    plugins = declared_sources(document)
    load_sources(plugins, node_cache)  # their layouts may be named by `data`
    document, layouts = with_data(document, data)
    if name is not None:
        return Study(document.with_value("name", name, "--name"), plugins)
    base_name = document.values.get("name", path.stem)
    if isinstance(base_name, str):
        full_name = "-".join([base_name, *([profile] if profile else []), *layouts])
        document = document.with_value("name", full_name, str(path))
    return Study(document, plugins)


def _design(document: Document) -> Design:
    """Return the file's design; an invalid one is reported with the problems of the cells."""
    try:
        return parse(Design, document.values.get("design") or {})
    except SpecError:
        return FULL_DESIGN


def _without_null_ranges(document: Document) -> Document:
    """Return the document without null ranges, so that a profile can drop a range, or all of them."""
    search = document.values.get("search")
    if not isinstance(search, Mapping) or "space" not in search:
        return document
    space = {} if search["space"] is None else search["space"]
    if not isinstance(space, Mapping):
        return document
    kept = {path: choice for path, choice in space.items() if choice is not None}
    return Document({**document.values, "search": {**search, "space": kept}}, document.sources)
