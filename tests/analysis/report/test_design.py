from collections.abc import Callable
from datetime import UTC, datetime

from analysis.io.load import load
from analysis.report.design import Fact, design_facts, shown_title
from analysis.report.networks import network_texts
from analysis.tables.grid import arrange
from study.storage.events import TimeSpent
from study.storage.ledger import Ledger
from study.storage.workspace import StudyFolder
from tests.analysis.described import described
from trainables.data.store.frames import FrameStore


def facts_of(folder: StudyFolder) -> dict[str, Fact]:
    results = load(folder)
    assert results.plan.frames is not None
    found = design_facts(results, arrange(results.plan), FrameStore.open(results.plan.frames))
    return {fact.term: fact for fact in found}


def test_the_box_has_what_is_recorded(make_study: Callable[..., StudyFolder]) -> None:
    folder = described(make_study(subjects=4, replicates=2))
    end = datetime(2026, 3, 4, 12, tzinfo=UTC).timestamp()
    ledger = Ledger(folder.ledger, lambda: end)
    ledger.append(TimeSpent(5400.0, 0.0))
    ledger.close()
    texts = {term: fact.text for term, fact in facts_of(folder).items()}
    assert texts["Dataset"] == "CAMUS; classes: background, lv"
    assert texts["Subjects and images"] == "test 4 subjects, 8 images (8 with a mask); split: official"
    assert texts["Labelled subjects"].startswith(
        "5% labels: 1 training + 3 validation subjects; 25% labels: 5 training"
    )
    assert texts["Network"].startswith("unet on unet_encoder, ")
    assert texts["Network"].endswith(" parameters")
    assert texts["Pretraining"] == "simclr"
    assert texts["Search"] == "sampler tpe, 4 trials in each searched cell, 1 setting"
    assert texts["Replicates"] == "2 in each of 9 cells, from 2 pretrainings of each start"
    assert texts["Date"].endswith("2026-03-04 (UTC)")
    assert texts["Duration"].startswith("1.50 h of running, ")
    assert texts["Machine"] == "node7, one CPU core, torch 2.13.0 (measured in this workspace)"
    assert texts["Software"] == "pretext-study 9.9, torch 2.13.0"


def test_the_box_leaves_out_what_is_unknown(make_study: Callable[..., StudyFolder]) -> None:
    folder = make_study(subjects=2, finished=0)
    folder.ledger.unlink()
    results = load(folder)
    terms = {fact.term for fact in design_facts(results, arrange(results.plan), None)}
    assert terms == {"Search", "Replicates", "Report"}


def test_a_network_without_its_frames_has_no_number_of_parameters(make_study: Callable[..., StudyFolder]) -> None:
    assert network_texts(load(described(make_study(subjects=2))), None) == ["unet on unet_encoder"]


def test_generated_data_cannot_be_overlooked(make_study: Callable[..., StudyFolder]) -> None:
    folder = described(make_study(subjects=2), phantom=True, title="SimCLR on CAMUS (Saeed et al. 2022)")
    fact = facts_of(folder)["Dataset"]
    assert fact.strong
    assert fact.text.startswith("GENERATED PHANTOM, no patients")
    assert shown_title(load(folder).plan) == "SimCLR on CAMUS (Saeed et al. 2022), on generated data"


def test_a_title_on_real_data_stays(make_study: Callable[..., StudyFolder]) -> None:
    assert shown_title(load(described(make_study(subjects=2))).plan) == "Fake study on ellipses"
