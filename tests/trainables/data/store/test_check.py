import dataclasses
import shutil

import pytest

from trainables.common.errors import DataError
from trainables.data.settings import DataSettings
from trainables.data.store.check import check


def test_every_file_is_read_and_every_fault_listed(echonet_root, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(echonet_root, root)
    missing, torn, *_ = sorted((root / "Videos").iterdir())
    missing.unlink()
    torn.write_bytes(torn.read_bytes()[:5000])
    seen = []
    for workers in (1, 2):
        report = check(DataSettings(), root, lambda *step: seen.append(step), workers=workers)
        assert report.sequences == 8
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
    pretraining, finetuning = (check(settings, echonet_root, finetune=finetune) for finetune in (False, True))
    assert pretraining.subjects["val"] == pretraining.subjects["test"] == (0, 0)
    assert (pretraining.refusal, finetuning.warning) == ("", "")
    assert pretraining.warning == finetuning.refusal
    assert "no labelled subject in val, test" in finetuning.refusal


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere: the folder does not exist"):
        check(DataSettings(), tmp_path / "nowhere")
