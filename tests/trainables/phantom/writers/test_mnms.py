import csv

import nibabel as nib
import numpy as np
import pytest

from trainables.phantom import PHANTOMS, PhantomSettings
from trainables.phantom.anatomy.cardiac_mr import draw_examination
from trainables.phantom.writers.mnms import TABLE, TABLE_2

SETTINGS = PhantomSettings(subjects=5, frames=8, size=48, slices=5, seed=3, fractions=(0.6, 0.2, 0.2))
NUMBERS = {1: 1, 2: 2, 3: 3}  # lv, myocardium and rv, in the order of both challenges and of the structures


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    root = tmp_path_factory.mktemp("mnms")
    PHANTOMS["mnms"].write(root, SETTINGS, None)
    return root


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    root = tmp_path_factory.mktemp("mnms2")
    PHANTOMS["mnms2"].write(root, SETTINGS, None)
    return root


def in_order(labels):
    """The exam's labels `(n, rows, columns)` as a NIfTI array of the challenges: their numbers, columns first."""
    published = np.zeros_like(labels)
    for structure, number in NUMBERS.items():
        published[labels == structure] = number
    return published.transpose(2, 1, 0)


def test_the_table_names_the_labelled_moments_of_every_subject(first):
    rows = list(csv.DictReader((first / TABLE).open()))
    assert len(rows) == 5
    for row in rows:
        (path,) = first.rglob(f"{row['External code']}_sa_gt.nii.gz")
        labels = np.asarray(nib.load(path).dataobj)
        assert labels.shape == (48, 48, 5, 8)
        assert {moment for moment in range(8) if labels[..., moment].any()} == {int(row["ED"]), int(row["ES"])}
        exam = draw_examination(SETTINGS, row["External code"], ("SA",))
        for phase in ("ED", "ES"):
            moment = int(row[phase])
            np.testing.assert_array_equal(labels[..., moment], in_order(exam.views["SA"].labels[moment]))
        cavity = [(labels[..., int(row[phase])] == 1).sum() for phase in ("ED", "ES")]
        assert cavity[1] < cavity[0]


def test_the_second_challenges_table_lists_the_folders(second):
    with (second / TABLE_2).open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["SUBJECT_CODE", "DISEASE", "VENDOR", "SCANNER", "FIELD"]
    folders = sorted(path.name for path in (second / "dataset").iterdir())
    assert [f"{int(row['SUBJECT_CODE']):03d}" for row in rows] == folders


def test_a_subject_of_the_second_challenge_has_two_views_of_three_kinds(second):
    folder = second / "dataset" / "001"
    stems = {f"001_{view}_{kind}" for view in ("SA", "LA") for kind in ("ED", "ED_gt", "ES", "ES_gt", "CINE")}
    assert {path.name for path in folder.iterdir()} == {f"{stem}.nii.gz" for stem in stems}
    exam = draw_examination(SETTINGS, "mnms2 0", ("SA", "4CH"))
    for view, name in (("SA", "SA"), ("LA", "4CH")):
        cine = nib.load(folder / f"001_{view}_CINE.nii.gz")
        for phase, moment in (("ED", 0), ("ES", exam.end_systole)):
            image = nib.load(folder / f"001_{view}_{phase}.nii.gz")
            np.testing.assert_array_equal(np.asarray(image.dataobj), np.asarray(cine.dataobj)[..., moment])
            labels = nib.load(folder / f"001_{view}_{phase}_gt.nii.gz")
            np.testing.assert_array_equal(labels.affine, cine.affine)
            np.testing.assert_array_equal(np.asarray(labels.dataobj), in_order(exam.views[name].labels[moment]))
