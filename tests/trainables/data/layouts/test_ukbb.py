import gzip

import nibabel as nib
import numpy as np
import pytest

from trainables.common.errors import DataError
from trainables.data.layouts.ukbb import CLASSES, UkBiobank
from trainables.data.readers.grey import percentile_window
from trainables.data.settings import DataSettings
from trainables.data.store.check import check
from trainables.phantom import PHANTOMS, PhantomSettings

NUMBERS = {"lv": 1, "myocardium": 2, "rv": 3, "la": 4, "ra": 5}
"""As Bai et al. number them in the four-chamber view."""


@pytest.fixture
def root(tmp_path):
    PHANTOMS["ukbb"].write(tmp_path, PhantomSettings(subjects=2, frames=8, size=48, slices=5), None)
    return tmp_path


def issues(root):
    return {issue.kind: (issue.file, issue.skipped) for issue in check(DataSettings(layout=UkBiobank()), root).issues}


def test_stacks_cines_and_labels_of_a_subject(root, voxels):
    records = {record.sequence.partition("_")[2]: record for record in UkBiobank(frame_step=4).scan(root).records}
    assert set(records) == {
        "SA_ED", "SA_ES", "SA_cine_2", "SA_cine_6", "2CH_cine", "4CH_ED", "4CH_ES", "4CH_cine",
    }  # fmt: skip
    assert {name for name, record in records.items() if record.stack} == {
        name for name in records if not name.endswith("cine")
    }
    assert (records["2CH_cine"].frames, records["SA_ED"].frames, records["4CH_ED"].frames) == (8, 5, 1)
    for view, stem, names in (("SA", "sa", list(NUMBERS)[:3]), ("4CH", "la_4ch", list(NUMBERS))):
        for phase in ("ED", "ES"):
            record, label = records[f"{view}_{phase}"], nib.load(root / "1000002" / f"label_{stem}_{phase}.nii.gz")
            pixels = UkBiobank().read(root, record)
            there = voxels(label.get_filename(), pixels.planes, pixels.images.shape[2:])
            values = nib.load(root / "1000002" / f"{stem}_{phase}.nii.gz").get_fdata()
            np.testing.assert_array_equal(pixels.images[:, 0], percentile_window(values[there]))
            masks = np.stack(list(pixels.masks.values()))
            for name in names:
                drawn = np.asarray(label.dataobj)[there] == NUMBERS[name]
                np.testing.assert_array_equal(masks == CLASSES.index(name), drawn)
                assert drawn.any()
            assert record.spacing == pytest.approx(label.header.get_zooms()[1::-1])
    cine = UkBiobank().read(root, records["2CH_cine"])
    assert cine.images.shape == (8, 1, 48, 48)
    assert cine.planes.shape == (8, 3, 3)


def test_without_images_of_their_own_end_diastole_is_the_first_moment_and_end_systole_unknown(root):
    folder = root / "1000001"
    for phase in ("ED", "ES"):
        (folder / f"sa_{phase}.nii.gz").unlink()
    mine = [record for record in UkBiobank().scan(root).records if record.subject == "1000001" and record.view == "SA"]
    labelled = [record for record in mine if record.labelled]
    assert [(record.timepoint, set(record.labelled.values())) for record in labelled] == [(0, {"ED"})]
    assert issues(root)["mask without image"] == ("1000001/label_sa_ES.nii.gz", "mask")


def test_the_only_label_of_the_two_chamber_view_is_the_atrium(root):
    folder, drawn = root / "1000001", np.zeros((48, 48, 1), np.uint8)
    drawn[5:20, 8:11] = 1  # in the other views 1 is the ventricle
    cine = nib.load(folder / "la_2ch.nii.gz")
    nib.save(nib.Nifti1Image(drawn, cine.affine), folder / "label_la_2ch_ED.nii.gz")
    records = {record.sequence: record for record in UkBiobank().scan(root).records}
    pixels = UkBiobank().read(root, records["1000001_2CH_ED"])
    assert np.unique(pixels.masks[0]).tolist() == [0, CLASSES.index("la")]
    assert (pixels.masks[0] > 0).sum() == 45


@pytest.mark.parametrize(
    ("kind", "name", "skipped", "change"),
    [
        ("empty mask", "label_sa_ES", "mask", lambda values: values * 0),
        ("mask size differs from the image", "label_sa_ES", "mask", lambda values: values[:, 1:]),
        ("spacing missing", "sa_ES", "", lambda values: values),
        ("unreadable sequence", "sa_ES", "sequence", 900),
    ],
)
def test_planted_faults_of_files_are_named(root, kind, name, skipped, change):
    path = root / "1000002" / f"{name}.nii.gz"
    if isinstance(change, int):
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:change]))
    else:
        bare = nib.Nifti1Image(change(np.asarray(nib.load(path).dataobj)), None)
        bare.header["pixdim"][1:4] = 0
        nib.save(bare, path)
    assert issues(root)[kind] == (f"1000002/{name}.nii.gz", skipped)


def test_planted_faults_are_named(root):
    folder = root / "1000001"
    (folder / "label_sa_ED.nii.gz").unlink()
    (folder / "la_2ch.nii.gz").write_bytes(b"no")
    image = nib.load(folder / "label_la_4ch_ED.nii.gz")
    nib.save(nib.Nifti1Image(np.full(image.shape, 6, np.uint8), image.affine), folder / "label_la_4ch_ED.nii.gz")
    found = issues(root)
    assert found["missing mask"] == ("1000001/sa_ED.nii.gz", "mask")
    assert found["unreadable header"] == ("1000001/la_2ch.nii.gz", "sequence")
    assert found["unknown label"] == ("1000001/label_la_4ch_ED.nii.gz", "mask")


def test_another_folder_is_one_clear_error(tmp_path):
    with pytest.raises(DataError, match="no subjects \\(expected UK Biobank cardiac MR"):
        UkBiobank().scan(tmp_path)
