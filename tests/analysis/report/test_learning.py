"""Report on pretrainings that learned, and on those that did not."""

import json
from dataclasses import replace

import pytest

from analysis.io.load import load
from analysis.report import learning
from analysis.report.learning import learning_section, learning_sentences, shown_policies
from analysis.stats.comparisons import compare
from analysis.tables.cells import cell_table
from analysis.tables.grid import arrange
from study.planning.jobs import Outcome
from study.storage.events import JobFinished
from study.storage.ledger import Ledger
from trainables.common.learning import Learning
from trainables.data.store.frames import FrameStore

LEARNED = Learning("learned", "matched views 80.0% (chance 0.8%)", skill=0.95)
NOT_LEARNED = Learning("not learned", "matched views 3.1% (chance 0.8%)", "weaken the crop", 0.28)


@pytest.fixture
def results(make_study):
    learning = {"simclr": LEARNED, "byol": NOT_LEARNED}
    return load(make_study(fractions=("0.05", "1"), replicates=2, subjects=4, learning=learning))


def test_a_pretraining_is_listed_with_its_verdict_evidence_and_cells(results):
    table = learning_section(results, None).tables["pretrainings"]
    assert [tuple(entry.text for entry in row[1:]) for row in table.rows] == [
        ("learned", "0.95", "2"),
        ("not learned", "0.28", "2"),
    ]
    assert table.data["cells"].tolist()[1] == "method=byol,label_fraction=0.05; method=byol,label_fraction=1"


def test_only_those_that_did_not_learn_are_warned_of_first_with_what_to_try(results):
    (warning,) = learning_sentences(results)
    assert warning.startswith("Pretraining byol: ")
    assert "not learned (matched views 3.1% (chance 0.8%))" in warning
    assert "method=byol,label_fraction=0.05" in warning
    learned, not_learned = learning_section(results, None).sentences
    assert learned.endswith(": learned: matched views 80.0% (chance 0.8%).")
    assert not_learned.endswith("matched views 3.1% (chance 0.8%). Fix: weaken the crop.")


def test_of_many_cells_the_number_is_told(results, monkeypatch):
    monkeypatch.setattr(learning, "NAMED_CELLS", 1)
    (warning,) = learning_sentences(results)
    assert warning.endswith(" 2 cells start from it.")


def test_the_verdict_stands_beside_each_cell_and_in_each_comparison(results):
    rows = {row[0].text: [entry.text for entry in row[1:]] for row in cell_table(results).rows}
    assert all(text.endswith(" [not learned]") for text in rows["byol"])
    assert not any("[" in text for text in rows["simclr"] + rows["random"])
    sentences = {each.row: each.sentence for each in compare(results, arrange(results.plan))}
    assert "(its pretraining: not learned)" in sentences["byol"]
    assert "its pretraining" not in sentences["simclr"]


def test_a_study_whose_pretrainings_have_no_verdict_has_no_section(make_study):
    results = load(make_study(fractions=("1",), replicates=2, subjects=4))
    assert learning_section(results, None).empty
    assert learning_sentences(results) == []


def test_a_chain_has_the_worst_verdict_of_its_steps(make_study):
    folder = make_study(fractions=("1",), replicates=2, subjects=4, learning={"simclr": LEARNED})
    (before,) = load(folder).pretrainings
    second = folder.workspace.artifacts / ("f" * 64)
    second.mkdir()
    about = (
        '{"config": {"data": "0", "pretext": {"method": {"name": "local_contrastive"}}, "start": "%s"}, "learning": %s}'
    )
    verdict = '{"verdict": "weak", "reason": "matched regions 20%", "advice": "", "skill": 0.4}'
    (second / "artifact.json").write_text(about % (before.digest, verdict))
    for path in (folder.job(f"simclr-1-replicate-{index}").config for index in (0, 1)):
        path.write_text(path.read_text().replace(before.digest, "f" * 64))
    (found,) = load(folder).pretrainings
    assert (found.method, found.learning.verdict) == ("local_contrastive", "weak")


def test_the_views_of_each_policy_are_drawn_where_its_frames_are_the_studys(results):
    store = FrameStore.open(results.plan.frames)
    section = learning_section(results, store)
    assert list(section.figures) == ["views_simclr", "views_byol"]
    assert section.caption("views_byol") == "Views of training images as the pretraining byol sees them."
    elsewhere = [replace(each, data="other") for each in results.pretrainings]
    assert shown_policies(elsewhere, store) == []


def test_a_pretraining_that_failed_is_listed_too(make_study):
    folder = make_study(fractions=("1",), replicates=2, subjects=4)
    job = folder.job("pretext-simclr-0123456789ab")
    config = {"pretext": {"method": {"name": "simclr"}, "augment": {}}, "data": "other"}
    job.config.write_text(json.dumps({"config": config}))
    failed = Outcome("failed", {}, 3, 1.0, NOT_LEARNED.text, NOT_LEARNED)
    ledger = Ledger(folder.ledger, lambda: 1e6)
    ledger.append(JobFinished(job.root.name, "pretext", None, 0, {}, "d" * 64, failed))
    ledger.close()
    results = load(folder)
    (row,) = learning_section(results, None).tables["pretrainings"].rows
    assert [entry.text for entry in row] == ["simclr", "not learned", "0.28", "failed"]
    assert learning_sentences(results) == []
