import nibabel as nib
import numpy as np
import pytest

from trainables.data.check import check
from trainables.data.layouts.ukbb import CLASSES, UkBiobank
from trainables.data.phantom import PHANTOMS, PhantomSettings
from trainables.data.settings import DataSettings
from trainables.errors import DataError

NUMBERS = {"lv": 1, "myocardium": 2, "rv": 3, "la": 4, "ra": 5}
"""As Bai et al. number them in the four-chamber view."""


@pytest.fixture
def root(tmp_path):
    PHANTOMS["ukbb"].write(tmp_path, PhantomSettings(subjects=2, frames=8, size=48, slices=5), None)
    return tmp_path


def faults(root):
    return {fault.kind: (fault.file, fault.skipped) for fault in check(DataSettings(layout=UkBiobank()), root).faults}


def test_stacks_cines_and_labels_of_a_subject(root):
    clips = {clip.sequence.partition("_")[2]: clip for clip in UkBiobank(every=4).scan(root).clips}
    assert set(clips) == {
        "SA_ED", "SA_ES", "SA_cine_2", "SA_cine_6", "2CH_cine", "4CH_ED", "4CH_ES", "4CH_cine",
    }  # fmt: skip
    assert {name for name, clip in clips.items() if clip.stack} == {name for name in clips if not name.endswith("cine")}
    assert (clips["2CH_cine"].frames, clips["SA_ED"].frames, clips["4CH_ED"].frames) == (8, 5, 1)
    pixels = UkBiobank().read(root, clips["4CH_ED"])
    labels = np.asarray(nib.load(root / "1000002" / "label_la_4ch_ED.nii.gz").dataobj)
    for name, number in NUMBERS.items():
        assert (pixels.masks[0] == CLASSES.index(name)).sum() == (labels == number).sum() > 0
    cine = UkBiobank().read(root, clips["2CH_cine"])
    assert cine.images.shape == (8, 1, 48, 48)
    assert cine.planes.shape == (8, 3, 3)


def test_without_images_of_their_own_end_diastole_is_the_first_moment_and_end_systole_unknown(root):
    folder = root / "1000001"
    for phase in ("ED", "ES"):
        (folder / f"sa_{phase}.nii.gz").unlink()
    mine = [clip for clip in UkBiobank().scan(root).clips if clip.subject == "1000001" and clip.view == "SA"]
    labelled = [clip for clip in mine if clip.labelled]
    assert [(clip.moment, set(clip.labelled.values())) for clip in labelled] == [(0, {"ED"})]
    assert faults(root)["mask without image"] == ("1000001/label_sa_ES.nii.gz", "mask")


def test_planted_faults_are_named(root):
    folder = root / "1000001"
    (folder / "label_sa_ED.nii.gz").unlink()
    (folder / "la_2ch.nii.gz").write_bytes(b"no")
    image = nib.load(folder / "label_la_4ch_ED.nii.gz")
    nib.save(nib.Nifti1Image(np.full(image.shape, 6, np.uint8), image.affine), folder / "label_la_4ch_ED.nii.gz")
    found = faults(root)
    assert found["missing mask"] == ("1000001/sa_ED.nii.gz", "mask")
    assert found["unreadable header"] == ("1000001/la_2ch.nii.gz", "sequence")
    assert found["unknown label"] == ("1000001/label_la_4ch_ED.nii.gz", "mask")


def test_another_folder_is_one_clear_error(tmp_path):
    with pytest.raises(DataError, match="no subjects, expected cardiac MR"):
        UkBiobank().scan(tmp_path)
