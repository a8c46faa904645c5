import json
from collections.abc import Callable

from analysis.io.load import load
from analysis.report.answer import answer_sentences, listed
from analysis.tables.grid import arrange
from study.storage.workspace import StudyFolder
from tests.analysis.described import described


def answer(folder: StudyFolder) -> list[str]:
    results = load(folder)
    return answer_sentences(results, arrange(results.plan))


def test_the_answer_names_start_labels_and_settings(finished_study: StudyFolder) -> None:
    start, labels, settings = answer(finished_study)
    assert start.startswith(("1 of 6", "2 of 6", "3 of 6", "4 of 6", "5 of 6", "6 of 6"))
    assert "comparisons show a difference" in start
    assert "the largest: simclr beats random at 25% labels by 0." in start
    assert "95% CI" in start
    assert "after Holm" in start
    assert "compared with 100% labels, non-inferiority margin 0.02 Dice" in labels
    assert settings == "In 9 cells the search chose strength 0.25, lr 0.002."


def test_one_comparison_is_told_with_its_caveat(make_study: Callable[..., StudyFolder]) -> None:
    start, labels, _ = answer(make_study(methods=("random", "simclr"), fractions=("0.05",), replicates=2, subjects=1))
    assert start.startswith("simclr minus random at 5% labels: ")
    assert "one test subject: no interval" in start
    assert labels == "How few labels are enough is not known: the study has one amount of labels."


def test_the_answer_says_why_the_labels_are_unknown(make_study: Callable[..., StudyFolder]) -> None:
    folder = described(make_study(fractions=("1",), subjects=4))
    plan = json.loads(folder.plan.read_text())
    plan["factors"].pop("label_fraction")
    for cell in plan["cells"]:
        cell["levels"].pop("label_fraction")
    folder.plan.write_text(json.dumps(plan))
    _, labels, _ = answer(folder)
    assert labels == "How few labels are enough is not known: all cells use 20 training + 3 validation subjects."


def test_a_study_without_a_reference_names_the_best(make_study: Callable[..., StudyFolder]) -> None:
    start, *_ = answer(make_study(methods=("simclr", "byol"), fractions=("0.05", "1"), subjects=4))
    assert start.startswith("Best mean Dice at 5% labels: ")
    assert "; Best mean Dice at 100% labels: " in start
    assert start.count(".") - start.count("0.") - start.count("1.") == 1


def test_an_unfinished_study_answers_so_far(make_study: Callable[..., StudyFolder]) -> None:
    start, *_ = answer(make_study(subjects=4, finished=20))
    assert start.startswith("So far: no difference from random is shown")


def test_an_ablation_names_its_significant_changes(make_study: Callable[..., StudyFolder]) -> None:
    folder = make_study(methods=("random", "simclr"), fractions=("1",), replicates=4, subjects=8)
    plan = json.loads(folder.plan.read_text())
    folder.plan.write_text(json.dumps({**plan, "design": {"kind": "one_out", "factors": ["method"]}}))
    start, *_ = answer(folder)
    assert start.startswith("Compared with base")
    assert "of 1 changes are significant" in start


def test_names_with_commas_are_quoted() -> None:
    assert listed(["epochs, random", "byol"]) == '"epochs, random" and byol'
    assert listed(["a", "b", "c", "d", "e", "f"]) == "a, b, c, d and 2 others"


def test_a_study_without_results_has_no_answer_yet(make_study: Callable[..., StudyFolder]) -> None:
    assert answer(make_study(subjects=2, finished=0)) == ["No answer yet: no replicate has finished."]
