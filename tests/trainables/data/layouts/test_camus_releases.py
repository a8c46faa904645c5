"""The two releases of CAMUS, its folds, and how many images Saeed et al. (2022) had of it."""

import shutil

import numpy as np
import pytest

from trainables.common.errors import DataError
from trainables.data.layouts.camus import Camus
from trainables.data.records import SPLITS
from trainables.data.settings import DataSettings
from trainables.data.store.check import check
from trainables.data.store.prepare import prepare
from trainables.phantom import PHANTOMS, PhantomSettings

SETTINGS = PhantomSettings(subjects=20, frames=8, size=32, seed=7, fractions=(0.8, 0.1, 0.1))
LISTS = ("training", "validation", "testing")


@pytest.fixture(scope="module")
def older(tmp_path_factory):
    root = tmp_path_factory.mktemp("older")
    PHANTOMS["camus_mhd"].write(root, SETTINGS, None)
    return root


def parts(root, partition):
    found = {"train": set(), "val": set(), "test": set()}
    for record in Camus(partition).scan(root).records:
        found[record.split].add(record.subject)
    return found


def test_both_releases_read_alike(older, tmp_path):
    PHANTOMS["camus"].write(tmp_path, SETTINGS, None)
    old, new = Camus().scan(older), Camus().scan(tmp_path)
    old_clips = {record.sequence: record for record in old.records}
    assert old_clips.keys() == {record.sequence for record in new.records}
    for record in new.records[:6]:
        other = old_clips[record.sequence]
        assert (other.split, other.labelled) == (record.split, record.labelled)
        assert other.spacing == pytest.approx((record.spacing[0] / 2, record.spacing[1]))  # rows half as far apart
        here, there = Camus().read(tmp_path, record), Camus().read(older, other)
        np.testing.assert_array_equal(there.images.shape, np.array(here.images.shape) * (1, 1, 2, 1))
        for frame, mask in here.masks.items():
            np.testing.assert_array_equal(there.masks[frame], np.repeat(mask, 2, axis=0))
        assert {"ef", "edv", "esv"} <= other.clinical.keys()


def test_ten_folds_test_everyone_once_and_the_fifth_is_the_official_split(older):
    folds = [parts(older, f"fold{fold}") for fold in range(1, 11)]
    for fold in folds:
        assert set.isdisjoint(fold["train"], fold["val"] | fold["test"])
    tested = sorted(subject for fold in folds for subject in fold["test"])
    assert tested == sorted(f"patient{number:04d}" for number in range(1, 21))
    assert folds[4] == parts(older, "official")


def _empty_release(root, patients):
    """Write the published lists over patients' folders with a header but hardly a pixel."""
    import nibabel as nib

    image = nib.Nifti1Image(np.zeros((2, 2), np.uint8), np.diag([0.308, 0.308, 1, 1]))
    nib.save(image, root / "one.nii")
    content = (root / "one.nii").read_bytes()
    for patient in patients:
        folder = root / "database_nifti" / patient
        folder.mkdir(parents=True)
        for stem in ("ED", "ES", "ED_gt", "ES_gt"):
            (folder / f"{patient}_4CH_{stem}.nii").write_bytes(content)


def test_the_official_split_and_that_of_saeed_2022_have_the_published_sizes(tmp_path):
    patients = [f"patient{number:04d}" for number in range(1, 501)]
    _empty_release(tmp_path, patients)
    lists = tmp_path / "database_split"
    lists.mkdir()
    for stem, low, high in (("training", 0, 400), ("validation", 400, 450), ("testing", 450, 500)):
        (lists / f"subgroup_{stem}.txt").write_text("\n".join(patients[low:high]))
    images = dict.fromkeys(("train", "val", "test"), 0)
    for record in Camus("saeed2022").scan(tmp_path).records:
        if record.split is not None:
            images[record.split] += len(record.labelled)
    assert images == {"train": 600, "val": 100, "test": 100}  # section 3.4
    official, saeed = parts_sizes(Camus(), tmp_path), parts_sizes(Camus("saeed2022"), tmp_path)
    assert official == {"train": 400, "val": 50, "test": 50}
    assert saeed == {"train": 300, "val": 50, "test": 50}


def test_a_named_partition_without_its_lists_is_refused_and_the_official_one_has_no_split(older, tmp_path):
    root = tmp_path / "camus"
    shutil.copytree(older, root)
    (root / "listSubGroups" / "subGroup3_validation.txt").unlink()
    text = r"subGroup3_validation\.txt: no such file, expected the lists of the partition 'fold3' \(1 of 3 missing\)"
    for split in ("auto", "official", "fractions"):
        with pytest.raises(DataError, match=text):
            check(DataSettings(layout=Camus("fold3"), split=split), root, workers=1)
    shutil.rmtree(root / "listSubGroups")
    with pytest.raises(DataError, match=r"subGroup5_training\.txt: no such file, expected .* \(1 of 1 missing\)"):
        Camus("saeed2022").scan(root)
    assert {record.split for record in Camus().scan(root).records} == {None}


def test_patients_outside_a_partition_are_no_losses_but_unlisted_ones_are(older, tmp_path):
    root = tmp_path / "camus"
    shutil.copytree(older, root)
    settings = DataSettings(layout=Camus("saeed2022"), image_size=16)
    report = check(settings, root, workers=1, needed=SPLITS)
    assert (report.refusal, {issue.severity for issue in report.issues}) == ("", {"note"})
    listed = {split: len((root / "listSubGroups" / f"subGroup5_{split}.txt").read_text().split()) for split in LISTS}
    assert sum(count for count, _ in report.subjects.values()) == listed["training"]
    (issue,) = (issue for issue in report.issues if issue.kind == "patients outside the partition")
    assert issue.message.startswith(f"{listed['validation'] + listed['testing']} patients are not part of")
    store = prepare(settings, root, tmp_path / "stores", b"key", workers=1)
    assert len(store.subjects) == listed["training"]
    path = root / "listSubGroups" / "subGroup5_training.txt"
    path.write_text("\n".join(path.read_text().split()[1:]))
    assert "subject in no split" in {issue.kind for issue in check(settings, root, workers=1).issues}


def parts_sizes(layout, root):
    counts: dict[str | None, int] = {}
    for record in layout.scan(root).records:
        counts[record.split] = counts.get(record.split, 0) + 1
    return counts


def test_an_unknown_partition_is_refused_by_name():
    with pytest.raises(ValueError, match=r"unknown partition 'fold11'.*fold1"):
        DataSettings(layout=Camus("fold11"))
