from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console

from analysis.checklists.answers import checklist_answers
from analysis.checklists.checklist import checklist_table, claim_items
from analysis.io.load import load
from analysis.report.design import design_facts
from analysis.report.report import ReportOptions, write_report
from analysis.tables.grid import arrange
from study.storage.workspace import StudyFolder
from tests.analysis.described import described
from trainables.data.store.frames import FrameStore


def answers_of(folder: StudyFolder) -> dict[str, str]:
    results = load(folder)
    assert results.plan.frames is not None
    grid, store = arrange(results.plan), FrameStore.open(results.plan.frames)
    facts = design_facts(results, grid, store)
    return checklist_answers(results, grid, store, "A title", facts, ["simclr wins."], ["Smoke run."])


def test_the_list_has_the_published_items() -> None:
    items = claim_items()
    assert [item.number for item in items] == list(range(1, 45))
    assert all(item.answer or item.authors for item in items)


def test_every_answer_belongs_to_an_item_and_every_named_answer_exists(
    make_study: Callable[..., StudyFolder],
) -> None:
    found = answers_of(described(make_study(subjects=4, replicates=2)))
    assert set(found) == {item.answer for item in claim_items()} - {""}


def test_the_answers_are_those_of_the_records(make_study: Callable[..., StudyFolder]) -> None:
    found = answers_of(described(make_study(subjects=4, replicates=2)))
    assert found["data"] == "CAMUS; classes: background, lv"
    assert found["partitions"] == "test 4 subjects, 8 images (8 with a mask); split: official"
    assert found["sample_size"].startswith("4 test subjects")
    assert found["starts"].startswith("pretrained by: simclr")
    assert "random, 5% labels: 0." in found["performance"]
    assert (
        "fine-tuning: 12 epochs, batches of 8, adam at 0.001; searched: downstream.fit.optimizer.lr"
        in found["training"]
    )
    assert found["conclusions"] == "simclr wins."
    assert found["limitations"] == "Smoke run."


def test_items_without_an_answer_are_left_to_the_authors() -> None:
    table = checklist_table(claim_items(), {"data": "CAMUS"})
    data = table.data.set_index("item")
    assert data.loc[7, "from_the_study"] == "CAMUS"
    assert data.loc[44, "for_the_authors"].startswith("sources of funding")
    assert data.loc[22, "for_the_authors"] == "not recorded by this study"
    assert table.notes[0].startswith("1 of 44 items")


@pytest.mark.parametrize("checklist", [True, False])
def test_the_report_writes_it_where_it_is_asked_for(make_study: Callable[..., StudyFolder], checklist: bool) -> None:
    folder = described(make_study(subjects=4, replicates=2))
    target = write_report(folder, Console(file=StringIO()), ReportOptions(checklist=checklist))
    assert (target / "checklist_claim.md").exists() is checklist
