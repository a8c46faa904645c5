from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from analysis.io.load import StudyResults, load
from analysis.report.search import edge_sentences
from analysis.stats.importance import Importances, Share
from analysis.stats.range_edges import range_edges
from study.config.definition import load_study
from study.config.plain import plain
from study.config.ranges import Choice, Int, LogUniform, Range, Uniform
from study.storage.workspace import StudyFolder


@pytest.fixture
def make_choice(make_study: Callable[..., StudyFolder]) -> Callable[..., StudyResults]:
    """Return a function from a setting, its range and the value that each cell chose to results."""
    base = load(make_study(methods=("random", "byol"), fractions=("1",), subjects=2, replicates=1))

    def chosen(name: str, searched: Range, *values: Any, spec: dict[str, Any] | None = None) -> StudyResults:
        cells = list(base.plan.cells)[: len(values)]
        jobs = pd.DataFrame({"kind": "trial", "cell": cells, "index": 0, f"param/{name}": values})
        plan = replace(base.plan, space={name: searched}, spec=spec or {})
        return replace(base, plan=plan, jobs=jobs, chosen=dict.fromkeys(cells, 0))

    return chosen


@pytest.mark.parametrize(
    ("searched", "value", "sides"),
    [
        (LogUniform(1e-4, 1.0), 0.9, ["upper"]),
        (LogUniform(1e-4, 1.0), 1.5e-4, ["lower"]),
        (LogUniform(1e-4, 1.0), 0.02, []),  # 2% of a linear range
        (Uniform(0.0, 1.0), 0.02, ["lower"]),
        (Uniform(0.0, 1.0), 0.949, []),
        (Uniform(0.0, 1.0), 0.951, ["upper"]),
        (Int(1, 5), 5, ["upper"]),
        (Int(1, 5), 4, []),
        (Choice((16, 64, 32)), 64, ["upper"]),
        (Choice((16, 64, 32)), 32, []),
        (Choice((16, 64)), 64, []),  # of two, one must be the largest
        (Choice(("adam", "sgd", "lion")), "lion", []),
        (Choice((False, 1, 2)), 2, []),
    ],
)
def test_values_at_an_edge_of_their_range(make_choice, searched: Range, value: Any, sides: list[str]) -> None:
    assert [edge.side for edge in range_edges(make_choice("fit.lr", searched, value))] == sides


def test_the_remark_names_setting_value_and_range(make_choice) -> None:
    (edge,) = range_edges(make_choice("fit.lr", LogUniform(1e-4, 1e-1), 0.095))
    assert edge.sentence == (
        "The best lr (0.095) lies at the upper edge of the searched range, 0.0001 to 0.1: a better value may lie above "
        "0.1. Search a wider range."
    )
    (edge,) = range_edges(make_choice("fit.lr", LogUniform(1e-4, 1e-1), 0.01, 0.099))
    assert "lr (0.099) lies at the upper edge of the searched range, 0.0001 to 0.1 in 1 of 2 cells:" in edge.sentence


def test_the_report_says_where_the_setting_may_not_matter(make_choice) -> None:
    results = make_choice("fit.lr", LogUniform(1e-4, 1e-1), 0.095)
    shown = Importances((Share("fit.lr", 0.6, 0.4, 0.8),), 0.1, 40, 40)
    (sentence,) = edge_sentences(results, shown)
    assert sentence.endswith("Search a wider range.")
    (sentence,) = edge_sentences(results, replace(shown, chance=0.5))
    assert sentence.endswith("Search a wider range. That lr matters is not shown.")


@pytest.mark.parametrize(
    ("name", "searched", "value", "found"),
    [
        ("pretext.augment.gain.p", Uniform(0.0, 1.0), 1.0, 0),  # a probability
        ("pretext.augment.gain.p", Uniform(0.0, 0.9), 0.9, 1),
        ("pretext.augment.crop.area.0", Uniform(0.1, 1.0), 0.99, 0),
        ("downstream.fit.batch_size", Choice((1, 2, 4)), 1, 0),
        ("downstream.fit.batch_size", Choice((2, 4, 8)), 2, 1),
    ],
)
def test_an_edge_of_the_setting_itself_is_none(make_choice, name: str, searched: Range, value: Any, found: int) -> None:
    spec = plain(load_study("quickstart", sets=["pretext.augment=ultrasound"]).spec)
    assert len(range_edges(make_choice(name, searched, value, spec=spec))) == found
