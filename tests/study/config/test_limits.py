"""Study files that would fill memory or time are refused at once, with the limit that they exceed."""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from whole_studies import TINY, call

from study.config.definition import load_study
from study.config.documents import MAX_INCLUDES, read
from study.config.factors import MAX_CELLS, cells_of, count_cells
from study.config.problems import SpecError
from study.config.spec import Design, Factor
from study.config.yaml_reader import MAX_DEPTH, MAX_VALUES, read_yaml


@contextmanager
def within(seconds: float) -> Iterator[None]:
    started = time.process_time()
    yield
    assert time.process_time() - started < seconds


def test_a_hundred_million_cells_are_counted_and_not_made():
    fractions = f"[{', '.join(str(number / 10_000) for number in range(1, 10_001))}]"
    sets = [f"factors.downstream.label_fraction={fractions}", f"factors.seeds={{{levels(10_000)}}}"]
    with within(5), pytest.raises(SpecError, match=rf"found 2\d\d,000,000 cells, expected at most {MAX_CELLS:,}"):
        load_study(str(TINY), sets=sets)


def levels(count: int) -> str:
    return ", ".join(f"a{number}: {{downstream.fit.batch_size: {number + 1}}}" for number in range(count))


FACTORS = [Factor(name, {level: {} for level in names}) for name, names in (("x", "ab"), ("y", "cde"), ("z", "fg"))]


@pytest.mark.parametrize("design", [Design(), Design("one_out"), Design("one_in"), Design("one_out", ("x", "y"))])
def test_cells_are_counted_as_they_are_made(design):
    made = [tuple(cell.levels.values()) for cell in cells_of(FACTORS, design)]
    assert len(made) == count_cells(FACTORS, design)
    varied = [n for n, factor in enumerate(FACTORS) if not design.factors or factor.name in design.factors]
    base = [list(factor.levels)[-1 if design.kind == "one_in" else 0] for factor in FACTORS]
    every = itertools.product(*(factor.levels for factor in FACTORS))
    kept = [each for each in every if design.kind == "full" or sum(each[n] != base[n] for n in varied) <= 1]
    assert made == kept


def test_an_ablation_of_thirty_factors_is_made_at_once():
    factors = [Factor(f"f{number}", {"on": {}, "off": {}}) for number in range(30)]
    with within(1):
        assert len(cells_of(factors, Design("one_out"))) == 31


@pytest.mark.parametrize("depth", [9, 20])
def test_aliases_of_aliases_are_counted_while_they_are_read(depth):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, depth)]
    with within(1), pytest.raises(SpecError, match=rf"more than {MAX_VALUES:,} values"):
        read_yaml("\n".join(lines), "bomb.yaml")


@pytest.mark.parametrize("text", ["[" * 50_000, "a: " + "{b: " * 50_000, "- " * 50_000])
def test_deep_nesting_is_refused(text):
    with within(1), pytest.raises(SpecError, match=rf"more than {MAX_DEPTH} mappings and lists|not YAML"):
        read_yaml(text, "deep.yaml")


def test_files_that_include_each_other_many_times_are_refused(tmp_path: Path):
    for number in range(9):
        include = f"include: [{', '.join([f'{number + 1}.yaml'] * 9)}]" if number < 8 else "seed: 1"
        (tmp_path / f"{number}.yaml").write_text(include)
    with within(1), pytest.raises(SpecError, match=rf"more than {MAX_INCLUDES} included files"):
        read(tmp_path / "0.yaml", tmp_path)


def test_a_grid_that_cannot_be_enumerated_is_refused():
    space = {"downstream.fit.optimizer.lr": "null"}
    space |= {f"downstream.fit.{name}": "{int: [1, 1000]}" for name in ("epochs", "batch_size")}
    sets = [f"search.space.{path}={choice}" for path, choice in space.items()]
    with within(5), pytest.raises(SpecError, match="'grid' with 1,000,000 points, expected at most 100,000"):
        load_study(str(TINY), sets=[*sets, "search.sampler=grid"])


@pytest.mark.parametrize(
    "command", [f"run {TINY} --name {'n' * 300}", f"plan {TINY} --name {'n' * 300}", f"status {'n' * 300}",
                f"report {'n' * 300}"]
)  # fmt: skip
def test_a_name_of_three_hundred_characters_is_refused(tmp_path, capsys, command):
    code, said = call(capsys, *command.split(), "--workspace", str(tmp_path))
    assert code == 2
    assert "name has 300 characters, expected at most 200" in said or "no study 'nnn" in said
