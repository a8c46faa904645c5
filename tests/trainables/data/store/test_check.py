import dataclasses
import shutil

import cv2
import numpy as np
import pytest

from trainables.common.errors import DataError
from trainables.data.layouts.echonet import EchoNetDynamic
from trainables.data.layouts.manifest import Manifest
from trainables.data.records import SPLITS, DatasetListing
from trainables.data.settings import DataSettings
from trainables.data.store.check import check
from trainables.data.store.prepare import prepare


def test_every_file_is_read_and_every_fault_listed(echonet_root, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(echonet_root, root)
    missing, torn, *_ = sorted((root / "Videos").iterdir())
    missing.unlink()
    torn.write_bytes(torn.read_bytes()[:5000])
    seen = []
    for workers in (1, 2):
        report = check(DataSettings(), root, lambda *step: seen.append(step), workers=workers)
        assert (report.listed, report.sequences) == (8, 6)
        assert sum(every for every, _ in report.subjects.values()) == 6
        assert {(issue.file, issue.kind) for issue in report.issues} == {
            ("FileList.csv", "missing video"),
            (f"Videos/{torn.name}", "unreadable sequence"),
        }
        assert str(root) not in str(report.issues[1])
        assert seen[-1] == ("reading files", 7, 7)
        assert "1 damaged of 8 sequences" in report.refusal
    lenient = dataclasses.replace(DataSettings(), on_error="skip", tolerance=0.25)
    assert check(lenient, root).refusal == ""


def test_subjects_are_counted_by_split_and_label(echonet_root):
    report = check(DataSettings(), echonet_root)
    assert report.subjects == {"train": (4, 4), "val": (2, 2), "test": (2, 2)}
    assert (report.issues, report.refusal) == ((), "")


def test_a_split_that_cannot_be_had_refuses_but_files_are_read_all_the_same(echonet_root, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(echonet_root, root)
    table = root / "FileList.csv"
    table.write_text(table.read_text().replace("VAL", "TRAIN"))
    sorted((root / "Videos").iterdir())[0].write_bytes(b"")
    report = check(DataSettings(split="official"), root)
    assert "leaves val empty" in report.refusal
    assert [issue.severity for issue in report.issues] == ["damage"]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (DataSettings(views=("2CH",)), "no sequence of view '2CH'"),
        (DataSettings(structures=("la",)), "the masks have no structure 'la'"),
        (DataSettings(split="fractions", fractions=(0, 1, 1)), "no labelled subject in train"),
    ],
)
def test_what_every_study_would_refuse_is_refused(echonet_root, settings, reason):
    report = check(settings, echonet_root)
    assert reason in report.refusal
    assert report.warning == ""


def test_splits_without_labels_are_a_warning_or_refuse_a_dataset_to_finetune_on(echonet_root):
    settings = DataSettings(split="fractions", fractions=(1, 0, 0))
    pretraining, finetuning = (check(settings, echonet_root, needed=needed) for needed in ((), SPLITS))
    assert pretraining.subjects["val"] == pretraining.subjects["test"] == (0, 0)
    assert (pretraining.refusal, finetuning.warning) == ("", "")
    assert pretraining.warning == finetuning.refusal
    assert "no labelled subject in val, test" in finetuning.refusal


def break_videos(root, subjects):
    for video in sorted((root / "Videos").iterdir()):
        if video.stem in subjects:
            video.write_bytes(video.read_bytes()[:200])


def subjects_of(root, split):
    return [row.split(",")[0] for row in (root / "FileList.csv").read_text().splitlines() if row.endswith(split)]


@pytest.mark.parametrize(
    ("lost", "reason"),
    [("VAL", "no labelled subject in val "), ("TEST", "no labelled subject in test "), ("", "no frame to store")],
)
def test_counts_are_those_after_the_faults_and_what_prepare_refuses_is_refused(echonet_root, tmp_path, lost, reason):
    root = tmp_path / "copy"
    shutil.copytree(echonet_root, root)
    break_videos(root, subjects_of(root, lost) if lost else [path.stem for path in (root / "Videos").iterdir()])
    settings = DataSettings(on_error="skip", tolerance=1.0)
    report = check(settings, root, needed=SPLITS)
    assert reason in report.refusal
    assert report.subjects["val"] == ((0, 0) if lost in ("VAL", "") else (2, 2))
    assert report.sequences == sum(every for every, _ in report.subjects.values()) < report.listed
    if not lost:
        assert reason in check(settings, root).refusal
        with pytest.raises(DataError, match=reason):
            prepare(settings, root, tmp_path / "s", b"key")


def test_masks_that_cannot_be_read_are_not_counted_as_labels(tmp_path):
    rows = ["subject,split,image,mask"]
    for number, split in enumerate(("train", "val", "test")):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((16, 16), 90, np.uint8))
        cv2.imwrite(str(tmp_path / f"m{number}.png"), np.full((9, 9), 1, np.uint8))  # of another size
        cv2.imwrite(str(tmp_path / f"u{number}.png"), np.full((16, 16), 90, np.uint8))
        rows += [f"p{number},{split},{number}.png,m{number}.png", f"p{number},{split},u{number}.png,"]
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    (tmp_path / "classes.csv").write_text("value,name\n1,lv\n")
    settings = DataSettings(layout=Manifest(), image_size=16)
    assert "3 losses in 3 masks" in check(settings, tmp_path).refusal
    settings = dataclasses.replace(settings, tolerance=1.0)
    report = check(settings, tmp_path)
    assert report.subjects == {"train": (1, 0), "val": (1, 0), "test": (1, 0)}
    assert "no labelled subject in train, val, test" in report.warning
    assert check(settings, tmp_path, needed=SPLITS).refusal == report.warning


def test_a_dataset_without_spacing_is_refused_where_it_is_needed(echonet_root):
    report = check(DataSettings(pixel_mm=1.0), echonet_root)
    assert "8 losses in 8 sequences" in report.refusal
    assert report.sequences == 0


def test_a_listing_without_sequences_is_refused(echonet_root, tmp_path, monkeypatch):
    monkeypatch.setattr(EchoNetDynamic, "scan", lambda self, root: DatasetListing((), ("background", "lv")))
    report = check(DataSettings(), echonet_root)
    assert report.refusal != ""
    with pytest.raises(DataError):
        prepare(DataSettings(), echonet_root, tmp_path, b"key")


def test_an_empty_choice_is_no_choice():
    for name in ("views", "structures"):
        with pytest.raises(ValueError, match=rf"{name} \[\]: expected at least one name"):
            DataSettings(**{name: ()})


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere: the folder does not exist"):
        check(DataSettings(), tmp_path / "nowhere")
