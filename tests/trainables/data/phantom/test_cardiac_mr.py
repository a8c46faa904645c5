"""The phantom's cardiac MR through its files: geometry, labels and volumes as the headers say."""

import nibabel as nib
import numpy as np
import pydicom
import pytest

from trainables.data.layouts.acdc import Acdc
from trainables.data.layouts.cardiac_dicom import CardiacDicom
from trainables.data.layouts.ukbb import CLASSES, UkBiobank
from trainables.data.phantom import PHANTOMS, PhantomSettings
from trainables.data.phantom.cardiac_mr import draw_examination

SETTINGS = PhantomSettings(subjects=2, frames=8, size=96, slices=10, seed=4)


@pytest.fixture(scope="module")
def ukbb(tmp_path_factory):
    root = tmp_path_factory.mktemp("ukbb")
    PHANTOMS["ukbb"].write(root, SETTINGS, None)
    return root


def label_at(path, points):
    """Labels of a NIfTI file at patient coordinates (DICOM's axes), -1 outside, by nibabel's affine alone."""
    image = nib.load(path)
    values = np.asarray(image.dataobj)
    world = np.concatenate([points * [-1, -1, 1], np.ones((len(points), 1))], axis=1)
    voxel = world @ np.linalg.inv(image.affine).T[:, :3]
    place = np.rint(voxel).astype(int)
    inside = (np.abs(voxel[:, 2]) < 0.15) & (place >= 0).all(axis=1) & (place < values.shape[:3]).all(axis=1)
    found = np.full(len(points), -1)
    found[inside] = values[tuple(place[inside].T)]
    return found


def test_planes_of_different_views_show_the_same_tissue_where_they_cross(ukbb):
    folder = ukbb / "1000001"
    for phase in ("ED", "ES"):
        short = nib.load(folder / f"label_sa_{phase}.nii.gz")
        agree = total = 0
        for slice_ in range(SETTINGS.slices):
            rows, columns = np.indices(short.shape[1::-1])
            voxels = np.stack([columns.ravel(), rows.ravel(), np.full(rows.size, slice_)], axis=1)
            points = (voxels @ short.affine[:3, :3].T + short.affine[:3, 3]) * [-1, -1, 1]
            here = np.asarray(short.dataobj)[voxels[:, 0], voxels[:, 1], slice_]
            there = label_at(folder / f"label_la_4ch_{phase}.nii.gz", points)
            crossing = there >= 0
            there[there > 3] = 0  # the short axis has no names for the atria
            agree += (here == there)[crossing & ((here > 0) | (there > 0))].sum()
            total += (crossing & ((here > 0) | (there > 0))).sum()
        assert total > 30
        assert agree / total > 0.8, phase  # pixels of a border differ by half a pixel


def test_the_readers_planes_are_those_of_the_files(ukbb):
    layout = UkBiobank()
    exam = draw_examination(SETTINGS, "ukbb 1")
    for clip in layout.scan(ukbb).clips:
        if clip.subject != "1000001" or "_cine" in clip.sequence:
            continue
        pixels, view = layout.read(ukbb, clip), exam.views[clip.view]
        moment = 0 if clip.sequence.endswith("ED") else exam.end_systole
        for slice_, plane in enumerate(pixels.planes):
            rng = np.random.default_rng(slice_)
            for row, column in rng.integers(0, SETTINGS.size, (20, 2)):
                point = plane[0] + row * plane[1] + column * plane[2]
                origin, down, right = view.planes[slice_]
                place = [round((point - origin) @ step / (step @ step)) for step in (down, right)]
                truth = view.labels[moment, slice_][tuple(place)]
                name = ("background", "lv", "myocardium", "rv", "la", "ra")[truth]
                if clip.view == "SA" and name in ("la", "ra"):
                    name = "background"
                assert CLASSES[pixels.masks[slice_][row, column]] == name


def test_volume_and_ejection_fraction_from_the_stack(tmp_path):
    settings = PhantomSettings(subjects=2, frames=8, size=128, slices=24, seed=4)
    PHANTOMS["acdc"].write(tmp_path, settings, None)
    layout = Acdc(every=0)
    for clip in layout.scan(tmp_path).clips:
        number = {"patient001": 0, "patient002": 1}[clip.subject]
        exam = draw_examination(settings, f"acdc {number}", ("SA",))
        pixels, phase = layout.read(tmp_path, clip), clip.sequence[-2:]
        gap = np.linalg.norm(exam.views["SA"].step)
        counted = sum((mask == 1).sum() for mask in pixels.masks.values()) * np.prod(clip.spacing) * gap / 1000
        assert counted == pytest.approx(exam.volumes[phase == "ES"], rel=0.06)


def test_dicom_series_lie_where_their_headers_say(tmp_path):
    PHANTOMS["cardiac_dicom"].write(tmp_path, SETTINGS, None)
    exam = draw_examination(SETTINGS, "dicom 1")
    scan = CardiacDicom().scan(tmp_path)
    assert scan.faults == ()
    mine = [clip.view for clip in scan.clips if clip.subject == "subject001"]
    counts = {view: mine.count(view) for view in exam.views}
    assert counts == {"SA": SETTINGS.slices, "2CH": 1, "4CH": 1}
    header = pydicom.dcmread(tmp_path / "subject001" / f"Se{SETTINGS.slices + 2}" / "0001.dcm")
    assert header.SeriesDescription == "cine 4CH"
    (clip,) = (clip for clip in scan.clips if clip.subject == "subject001" and clip.view == "4CH")
    pixels = CardiacDicom().read(tmp_path, clip)
    assert pixels.images.shape == (8, 1, 96, 96)
    np.testing.assert_allclose(pixels.planes[0], exam.views["4CH"].planes[0], atol=1e-3)
