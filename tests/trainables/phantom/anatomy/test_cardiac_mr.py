"""The phantom's cardiac MR through its files: geometry, labels and volumes as the headers say."""

import nibabel as nib
import numpy as np
import pydicom
import pytest
from scipy import ndimage

from trainables.common.seeds import numpy_generator
from trainables.data.layouts.acdc import Acdc
from trainables.data.layouts.cardiac_dicom import CardiacDicom
from trainables.data.layouts.ukbb import CLASSES, UkBiobank
from trainables.phantom import PHANTOMS, PhantomSettings
from trainables.phantom.anatomy.cardiac_mr import draw_examination, sampled
from trainables.phantom.anatomy.chest import FAT, MUSCLE, draw_chest
from trainables.phantom.anatomy.heart import LV, MYOCARDIUM, RV

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
    for record in layout.scan(ukbb).records:
        if record.subject != "1000001" or "_cine" in record.sequence:
            continue
        pixels, view = layout.read(ukbb, record), exam.views[record.view]
        timepoint = 0 if record.sequence.endswith("ED") else exam.end_systole
        for slice_, plane in enumerate(pixels.planes):
            rng = np.random.default_rng(slice_)
            for row, column in rng.integers(0, SETTINGS.size, (20, 2)):
                point = plane[0] + row * plane[1] + column * plane[2]
                origin, down, right = view.planes[slice_]
                place = [round((point - origin) @ step / (step @ step)) for step in (down, right)]
                truth = view.labels[timepoint, slice_][tuple(place)]
                name = ("background", "lv", "myocardium", "rv", "la", "ra")[truth]
                if record.view == "SA" and name in ("la", "ra"):
                    name = "background"
                assert CLASSES[pixels.masks[slice_][row, column]] == name


def test_volume_and_ejection_fraction_from_the_stack(tmp_path):
    settings = PhantomSettings(subjects=2, frames=8, size=128, slices=24, seed=4)
    PHANTOMS["acdc"].write(tmp_path, settings, None)
    layout = Acdc(frame_step=0)
    for record in layout.scan(tmp_path).records:
        number = {"patient001": 0, "patient002": 1}[record.subject]
        exam = draw_examination(settings, f"acdc {number}", ("SA",))
        pixels, phase = layout.read(tmp_path, record), record.sequence[-2:]
        gap = np.linalg.norm(exam.views["SA"].step)
        counted = sum((mask == 1).sum() for mask in pixels.masks.values()) * np.prod(record.spacing) * gap / 1000
        assert counted == pytest.approx(exam.volumes[phase == "ES"], rel=0.06)


def test_dicom_series_lie_where_their_headers_say(tmp_path):
    PHANTOMS["cardiac_dicom"].write(tmp_path, SETTINGS, None)
    exam = draw_examination(SETTINGS, "dicom 1")
    scan = CardiacDicom().scan(tmp_path)
    assert scan.issues == ()
    mine = [record.view for record in scan.records if record.subject == "subject001"]
    counts = {view: mine.count(view) for view in exam.views}
    assert counts == {"SA": SETTINGS.slices, "2CH": 1, "4CH": 1}
    header = pydicom.dcmread(tmp_path / "subject001" / f"Se{SETTINGS.slices + 2}" / "0001.dcm")
    assert header.SeriesDescription == "cine 4CH"
    (record,) = (record for record in scan.records if record.subject == "subject001" and record.view == "4CH")
    pixels = CardiacDicom().read(tmp_path, record)
    assert pixels.images.shape == (8, 1, 96, 96)
    np.testing.assert_allclose(pixels.planes[0], exam.views["4CH"].planes[0], atol=1e-3)


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_blood_is_bright_and_muscle_dark(name):
    exam = draw_examination(PhantomSettings(frames=8, size=128, slices=6), name, ("SA",))
    view = exam.views["SA"]
    for timepoint in (0, exam.end_systole):
        images, labels = view.images[timepoint], view.labels[timepoint]
        level = {label: np.median(images[labels == label]) for label in (LV, MYOCARDIUM, RV)}
        assert level[LV] > 2.2 * level[MYOCARDIUM]
        assert level[RV] > 2.2 * level[MYOCARDIUM]


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_water_and_fat_cancel_where_they_meet(name):
    settings = PhantomSettings(frames=8, size=160, slices=4)
    exam = draw_examination(settings, name, ("SA",))
    chest = draw_chest(numpy_generator(settings.seed, "mr scanner", name))
    lows, deep, far = [], [], []
    for plane, image in zip(exam.views["SA"].planes, exam.views["SA"].images[0], strict=True):
        points = sampled(plane, 160)
        tissue, body = chest.signal(points), ~exam.heart.near(points)
        muscle = body & (tissue == np.float32(MUSCLE))
        fat = tissue == np.float32(FAT)
        lows.extend(image[muscle & ndimage.binary_dilation(fat)])
        deep.extend(image[ndimage.binary_erosion(muscle, iterations=3)])
        far.extend(image[body & ndimage.binary_erosion(fat, iterations=3)])
    assert min(len(lows), len(deep), len(far)) > 100
    assert np.median(far) > 2.5 * np.median(deep)
    assert np.percentile(lows, 20) < 0.6 * np.median(deep)  # darker than either


def test_the_cavity_of_the_stack_empties_as_the_ejection_fraction_says():
    settings = PhantomSettings(frames=8, size=128, slices=24)
    for name in ("a", "b"):
        exam = draw_examination(settings, name, ("SA",))
        counts = (exam.views["SA"].labels == LV).sum(axis=(1, 2, 3))
        assert counts.argmax() == 0
        assert counts.argmin() == exam.end_systole
        assert 100 * (1 - counts.min() / counts.max()) == pytest.approx(exam.ejection_fraction, abs=2.5)


def test_the_niftis_world_is_the_patients_with_right_and_front_positive(ukbb):
    image = nib.load(ukbb / "1000001" / "label_la_4ch_ED.nii.gz")
    labels = np.asarray(image.dataobj)
    place = {
        name: nib.affines.apply_affine(image.affine, np.argwhere(labels == number)).mean(axis=0)
        for name, number in (("lv", 1), ("rv", 3), ("la", 4), ("ra", 5))
    }
    assert place["rv"][0] > place["lv"][0] + 15  # the right heart is on the right,
    assert place["ra"][0] > place["la"][0] + 15
    assert place["rv"][1] > place["lv"][1]  # the right ventricle in front,
    assert place["lv"][1] > place["la"][1] + 15  # the atria at the back
    assert place["lv"][2] < place["la"][2]  # and the apex below them


def test_dicom_series_of_two_views_show_the_same_where_they_cross(tmp_path):
    settings = PhantomSettings(subjects=1, frames=8, size=128, slices=12, seed=2)
    PHANTOMS["cardiac_dicom"].write(tmp_path, settings, None)
    series = {}
    for path in sorted((tmp_path / "subject001").glob("Se*/*.dcm")):
        header = pydicom.dcmread(path)
        if header.InstanceNumber == 1:
            assert header.TriggerTime == 0
            series.setdefault(header.SeriesDescription, []).append(header)
    (long_axis,), here, there = series["cine 4CH"], [], []
    assert len({header.FrameOfReferenceUID for headers in series.values() for header in headers}) == 1
    assert len(series["cine"]) == 12
    frame = np.array(long_axis.ImageOrientationPatient, float).reshape(2, 3)
    frame = np.stack([*frame, np.cross(*frame)])
    for short in series["cine"]:
        along, down = np.array(short.ImageOrientationPatient, float).reshape(2, 3)
        row, column = np.indices(short.pixel_array.shape)
        point = np.array(short.ImagePositionPatient, float) + (
            column[..., None] * short.PixelSpacing[1] * along + row[..., None] * short.PixelSpacing[0] * down
        )
        x, y, off = np.moveaxis((point - np.array(long_axis.ImagePositionPatient, float)) @ frame.T, -1, 0)
        x, y = np.rint(x / long_axis.PixelSpacing[1]).astype(int), np.rint(y / long_axis.PixelSpacing[0]).astype(int)
        both = (np.abs(off) < 0.8) & (x >= 0) & (x < 128) & (y >= 0) & (y < 128)
        here.extend(short.pixel_array[both])
        there.extend(long_axis.pixel_array[y[both], x[both]])
    assert len(here) > 300
    assert np.corrcoef(here, there)[0, 1] > 0.8
