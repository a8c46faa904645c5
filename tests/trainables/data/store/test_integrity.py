from collections import Counter
from dataclasses import replace

import pytest

from trainables.common.errors import DataError
from trainables.data.records import DatasetIssue
from trainables.data.store.integrity import (
    Tolerance,
    count_by_kind,
    enforce_tolerance,
    format_issues,
    missing_labels,
    require_folder,
)
from trainables.data.store.losses import Losses, unit

NOTE = DatasetIssue("a.csv", "row 2", "odd", "found 3, expected 4")
LOSS = DatasetIssue("b.csv", "row 7", "gone", "it is not there", "loss", "sequence")
DAMAGE = DatasetIssue("c.avi", "", "torn", "truncated", "damage", "sequence")


def losses(sequences: int, issues: list[DatasetIssue]) -> Losses:
    lost = Counter(unit(issue) for issue in issues if issue.severity != "note")
    return Losses({"sequence": sequences, "mask": 2 * sequences, "file": 3 * sequences}, lost)


def test_notes_are_always_tolerated_and_losses_up_to_their_share(tmp_path):
    enforce_tolerance(tmp_path, [NOTE] * 100, losses(10, [NOTE] * 100), Tolerance(0.0))
    enforce_tolerance(tmp_path, [LOSS] * 2, losses(100, [LOSS] * 2), Tolerance(0.02))
    with pytest.raises(
        DataError, match=r"3 losses in 100 sequences.*0\.02\n  b\.csv, row 7: it is not there \(skipped"
    ):
        enforce_tolerance(tmp_path, [LOSS] * 3, losses(100, [LOSS] * 3), Tolerance(0.02))


@pytest.mark.parametrize(("skipped", "tolerated"), [("sequence", 2), ("mask", 4), ("row", 6), ("image", 6), ("", 2)])
def test_a_loss_is_a_share_of_its_own_unit(tmp_path, skipped, tolerated):
    lost = [replace(LOSS, skipped=skipped)] * tolerated
    enforce_tolerance(tmp_path, lost, losses(100, lost), Tolerance(0.02))
    with pytest.raises(DataError, match=f"{tolerated + 1} losses in "):
        enforce_tolerance(tmp_path, [*lost, lost[0]], losses(100, [*lost, lost[0]]), Tolerance(0.02))


def test_damage_stops_unless_it_may_be_skipped_and_then_it_is_a_loss(tmp_path):
    with pytest.raises(DataError, match=r"1 damaged of 100 sequences\n  c\.avi: truncated"):
        enforce_tolerance(tmp_path, [DAMAGE], losses(100, [DAMAGE]), Tolerance(0.02))
    enforce_tolerance(tmp_path, [DAMAGE], losses(100, [DAMAGE]), Tolerance(0.02, "skip"))
    with pytest.raises(DataError, match="3 losses"):
        enforce_tolerance(tmp_path, [DAMAGE] * 3, losses(100, [DAMAGE] * 3), Tolerance(0.02, "skip"))


def test_summary_counts_kinds_and_carries_no_names():
    assert count_by_kind([NOTE, LOSS, LOSS]) == {"gone": 2, "odd": 1}


def test_listing_shows_the_first_and_counts_the_rest():
    assert format_issues([LOSS] * 8).splitlines()[-1] == "  ... and 3 more"
    assert len(format_issues([LOSS] * 3).splitlines()) == 3


def test_splits_without_labels_are_named(tmp_path):
    assert missing_labels(tmp_path, {"train": 1, "val": 2, "test": 3}) == ""
    assert f"{tmp_path}: no labelled subject in val, test " in missing_labels(
        tmp_path, {"train": 1, "val": 0, "test": 0}
    )


def test_a_missing_folder_and_a_file_are_distinguished(tmp_path):
    require_folder(tmp_path, "ACDC")
    with pytest.raises(DataError, match=r"nope: the folder does not exist \(expected ACDC\)\. Fix: "):
        require_folder(tmp_path / "nope", "ACDC")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file: not a folder \(expected ACDC\)"):
        require_folder(tmp_path / "file", "ACDC")
