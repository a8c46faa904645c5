"""Masks in DICOM files, segmentation objects among them, against images in DICOM files of a manifest."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom import Dataset, uid
from pydicom.data import get_testdata_file
from pydicom.pixels.utils import pack_bits

from trainables.common.errors import DataError
from trainables.data.layouts.manifest import Manifest
from trainables.data.readers.dicom_segmentation import read_segmentation
from trainables.data.readers.pictures import read_picture
from trainables.phantom.writers.dicom_file import write_dicom

SLICES, ROWS, COLUMNS = 4, 8, 10
LABELS = np.zeros((SLICES, ROWS, COLUMNS), np.uint8)
LABELS[1, 1:4, 2:6], LABELS[2, 2:5, 2:4], LABELS[2, 2:5, 6:9] = 1, 1, 2


def groups(heights: list[float], segments: list[int] | None = None) -> dict[str, object]:
    """Return the entries of frames at these heights in mm, head last."""
    frames = []
    for number, height in enumerate(heights):
        group, position = Dataset(), Dataset()
        position.ImagePositionPatient = [3, 4, height]
        group.PlanePositionSequence = [position]
        if segments is not None:
            segment = Dataset()
            segment.ReferencedSegmentNumber = segments[number]
            group.SegmentIdentificationSequence = [segment]
        frames.append(group)
    shared, direction, spacing = Dataset(), Dataset(), Dataset()
    direction.ImageOrientationPatient, spacing.PixelSpacing = [1, 0, 0, 0, 1, 0], [1.5, 1.25]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [direction], [spacing]
    return {"PerFrameFunctionalGroupsSequence": frames, "SharedFunctionalGroupsSequence": [shared]}


def write_segmentation(path: Path, frames: np.ndarray, entries: dict[str, object], kind: str = "BINARY") -> None:
    write_dicom(path, uid.SegmentationStorage, frames, {"SegmentationType": kind, **entries})
    if kind == "BINARY":
        dataset = pydicom.dcmread(path)
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, 1, 0
        dataset.PixelData = pack_bits(frames)
        dataset.save_as(path)


@pytest.fixture
def root(tmp_path) -> Path:
    scan = np.random.default_rng(0).integers(0, 900, LABELS.shape).astype(np.uint16)
    write_dicom(tmp_path / "a.dcm", uid.EnhancedMRImageStorage, scan, groups([0, 8, 16, 24]))
    (tmp_path / "classes.csv").write_text("value,name\n0,background\n1,lv\n2,rv\n")
    (tmp_path / "manifest.csv").write_text("subject,split,image,mask\np,train,a.dcm,m.dcm\n")
    return tmp_path


def masks(root: Path) -> tuple[np.ndarray, list[str]]:
    (record,) = Manifest().scan(root).records
    pixels = Manifest().read(root, record)
    found = np.zeros_like(LABELS)
    for frame, mask in pixels.masks.items():
        found[frame] = mask
    return found, [issue.kind for issue in pixels.issues]


def test_a_segmentation_is_placed_by_its_positions(root):
    """Frames by segment, not by slice, and none for a slice without a structure."""
    frames = np.stack([LABELS[2] == 2, LABELS[2] == 1, LABELS[1] == 1]).astype(np.uint8)
    write_segmentation(root / "m.dcm", frames, groups([16, 16, 8], [2, 1, 1]))
    found, issues = masks(root)
    np.testing.assert_array_equal(found, LABELS)
    assert issues == []


def test_a_segmentation_of_an_image_that_was_compressed_is_exact(root):
    entries = groups([8, 16], [1, 1]) | {"LossyImageCompression": "01"}
    write_segmentation(root / "m.dcm", (LABELS[1:3] == 1).astype(np.uint8), entries)
    np.testing.assert_array_equal(masks(root)[0], LABELS == 1)


def test_a_label_map_is_placed_by_its_positions(root):
    write_segmentation(root / "m.dcm", LABELS[::-1].copy(), groups([24, 16, 8, 0]), "LABELMAP")
    np.testing.assert_array_equal(masks(root)[0], LABELS)


def test_a_mask_of_reversed_slices_is_turned(root):
    write_dicom(root / "m.dcm", uid.EnhancedMRImageStorage, LABELS[::-1].copy(), groups([24, 16, 8, 0]))
    found, issues = masks(root)
    np.testing.assert_array_equal(found, LABELS)
    assert issues == []


@pytest.mark.parametrize("flips", [(), (0,), (1, 2), (0, 1, 2)])
def test_a_nifti_mask_of_a_dicom_image_is_placed_by_its_affine(root, flips):
    affine = np.diag([-1.25, -1.5, 8.0, 1.0])  # NIfTI's x and y run against DICOM's
    affine[:3, 3] = [-3, -4, 0]
    voxels = LABELS.T
    for axis in flips:
        affine[:3, 3] += affine[:3, axis] * (voxels.shape[axis] - 1)
        affine[:3, axis] *= -1
        voxels = np.flip(voxels, axis)
    nib.save(nib.Nifti1Image(np.ascontiguousarray(voxels), affine), root / "m.nii.gz")
    (root / "manifest.csv").write_text("subject,split,image,mask\np,train,a.dcm,m.nii.gz\n")
    np.testing.assert_array_equal(masks(root)[0], LABELS)
    affine[2, 3] += 4
    nib.save(nib.Nifti1Image(np.ascontiguousarray(voxels), affine), root / "m.nii.gz")
    assert masks(root)[1] == ["mask geometry differs from the image"]


def test_a_nifti_mask_of_a_dicom_image_without_a_place_keeps_its_order(root):
    nib.save(nib.Nifti1Image(LABELS.T, np.eye(4)), root / "m.nii.gz")
    (root / "manifest.csv").write_text("subject,split,image,mask\np,train,a.dcm,m.nii.gz\n")
    found, issues = masks(root)
    assert found.sum() == LABELS.sum()
    assert issues == ["mask geometry assumed"]


def test_a_metaimage_mask_of_a_dicom_image_is_placed_by_its_header(root):
    """DICOM's and MetaImage's axes agree; the slices of the mask run from head to feet."""
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK belongs to the extra `nnunet`")
    volume = sitk.GetImageFromArray(LABELS[::-1].copy())
    volume.SetSpacing((1.25, 1.5, 8.0))
    volume.SetOrigin((3.0, 4.0, 24.0))
    volume.SetDirection((1, 0, 0, 0, 1, 0, 0, 0, -1))
    sitk.WriteImage(volume, str(root / "m.mha"))
    (root / "manifest.csv").write_text("subject,split,image,mask\np,train,a.dcm,m.mha\n")
    np.testing.assert_array_equal(masks(root)[0], LABELS)


def test_frames_of_a_cine_are_placed_by_the_plane_that_they_share(root):
    scan = np.random.default_rng(1).integers(0, 900, LABELS.shape).astype(np.uint16)
    write_dicom(root / "a.dcm", uid.EnhancedMRImageStorage, scan, groups([8] * SLICES))
    affine = np.diag([-1.25, -1.5, 1.0, 1.0])
    affine[:3, 3] = [-3, -4, 8]
    nib.save(nib.Nifti1Image(LABELS.T, affine), root / "m.nii.gz")
    (root / "manifest.csv").write_text("subject,split,image,mask\np,train,a.dcm,m.nii.gz\n")
    np.testing.assert_array_equal(masks(root)[0], LABELS)


def test_a_mask_of_another_place_is_refused(root):
    write_dicom(root / "m.dcm", uid.EnhancedMRImageStorage, LABELS, groups([4, 12, 20, 28]))
    found, issues = masks(root)
    assert not found.any()
    assert issues == ["mask geometry differs from the image"]


def test_a_mask_without_a_place_is_taken_as_it_is(root):
    write_dicom(root / "m.dcm", uid.EnhancedMRImageStorage, LABELS, {})
    np.testing.assert_array_equal(masks(root)[0], LABELS)


def test_a_mask_of_one_frame_is_compared_with_that_frame(root):
    (root / "manifest.csv").write_text("subject,split,image,mask,frame\np,train,a.dcm,m.dcm,2\n")
    write_dicom(root / "m.dcm", uid.EnhancedMRImageStorage, LABELS[2:3], groups([16]))
    np.testing.assert_array_equal(masks(root)[0][2], LABELS[2])
    write_dicom(root / "m.dcm", uid.EnhancedMRImageStorage, LABELS[2:3], groups([8]))
    assert masks(root)[1] == ["mask geometry differs from the image"]


def test_overlapping_segments_and_fractions_are_refused(root):
    frames = np.stack([LABELS[2] > 0, LABELS[2] == 1]).astype(np.uint8)
    write_segmentation(root / "m.dcm", frames, groups([16, 16], [1, 2]))
    with pytest.raises(DataError, match=r"m\.dcm: segments that overlap"):
        read_segmentation(root / "m.dcm")
    write_segmentation(root / "m.dcm", frames * 200, groups([16, 16], [1, 2]), "FRACTIONAL")
    with pytest.raises(DataError, match=r"m\.dcm: unsupported segmentation \(found FRACTIONAL"):
        read_segmentation(root / "m.dcm")


def test_a_real_segmentation(tmp_path):
    file = Path(get_testdata_file("liver_1frame.dcm"))
    labels, planes = read_segmentation(file)
    np.testing.assert_array_equal(labels[0], pydicom.dcmread(file).pixel_array)
    assert planes.shape == (1, 3, 3)
    (tmp_path / "a.dcm").symlink_to(file)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.dcm", labels=True).images, labels)
