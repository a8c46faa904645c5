"""Losses are counted in the unit that is lost, a file of masks as the masks in it."""

from trainables.data.records import DatasetIssue, DatasetListing, SequenceRecord
from trainables.data.store.losses import Losses

CLASSES = ("background", "lv")


def volume(name: str, slices: int = 10) -> SequenceRecord:
    files = {"image": f"{name}.nii", "mask": f"{name}_gt.nii"}
    return SequenceRecord(name, name, "SA", frames=slices, labelled=dict.fromkeys(range(slices), ""), files=files)


def lost(skipped: str, severity: str = "loss") -> DatasetIssue:
    return DatasetIssue("a.nii", "", "gone", "gone", severity, skipped)


def test_a_listing_is_counted_with_what_it_leaves_out():
    scan = DatasetListing(
        (volume("a"), volume("b")), CLASSES, (lost("sequence"), lost("mask"), lost("row"), lost("", "note"))
    )
    losses = Losses.of_listing(scan)
    assert losses.listed == {"sequence": 3, "mask": 30, "file": 5}
    assert losses.lost == {"sequence": 1, "mask": 10, "file": 1}
    assert losses.excess(0.35) == []
    assert losses.excess(0.3) == ["1 losses in 3 sequences", "10 losses in 30 masks"]


def test_a_lost_file_of_masks_is_all_its_masks_and_a_lost_frame_is_one():
    whole = volume("a")
    frames = SequenceRecord("b", "b", "4CH", labelled={2: "ED", 8: "ES"}, files={"mask/2": "2.png", "mask/8": "8.png"})
    losses = Losses.of_listing(DatasetListing((whole, frames), CLASSES))
    losses.add(whole, [lost("mask")], masks=0)
    losses.add(frames, [lost("mask")], masks=1)
    assert losses.lost["mask"] == 11
    losses.add(frames, [], masks=0)
    losses.add(frames, [lost("mask", "note")], masks=0)
    assert losses.lost["mask"] == 11
    assert losses.listed["mask"] == 12


def test_a_lost_sequence_is_no_lost_mask():
    record = volume("a")
    losses = Losses.of_listing(DatasetListing((record,), CLASSES))
    losses.add(record, [lost("sequence", "damage")], masks=0)
    assert (losses.lost["sequence"], losses.lost["mask"]) == (1, 0)
