from pathlib import Path

import cv2
import nibabel as nib
import numpy as np
import pytest
from pydicom.uid import UltrasoundMultiFrameImageStorage

from trainables.common.errors import DataError
from trainables.data.readers.flat_pictures import FLAT
from trainables.data.readers.grey import percentile_window
from trainables.data.readers.metaimage_writer import write_metaimage
from trainables.data.readers.pictures import file_type, is_video, read_picture, read_picture_header
from trainables.phantom.writers.dicom_file import write_dicom
from trainables.phantom.writers.echonet import write_avi

GREY = np.random.default_rng(0).integers(0, 256, (3, 12, 10)).astype(np.uint8)
"""Three frames of 12 rows and 10 columns."""


def picture(path: Path, image: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), image)
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".PNG"])
def test_eight_bits_are_kept_as_they_are(tmp_path, suffix):
    path = picture(tmp_path / f"a{suffix}", GREY[0])
    found = read_picture(path)
    np.testing.assert_array_equal(found.images, GREY[:1])
    assert (found.images.dtype, found.spacing, found.planes, found.slices) == (np.uint8, None, None, False)
    np.testing.assert_array_equal(read_picture(path, labels=True).images, GREY[:1])


def test_more_bits_keep_their_detail(tmp_path):
    """Twelve bits in sixteen, as scanners have them, are not cut to their upper four."""
    deep = (np.arange(120).reshape(12, 10) * 34).astype(np.uint16)
    for name, image in (("a.png", deep), ("a.tif", deep.astype(np.float32))):
        path = picture(tmp_path / name, image)
        found = read_picture(path).images
        np.testing.assert_array_equal(found[0], percentile_window(deep))
        assert np.unique(found).size > 100
        np.testing.assert_array_equal(read_picture(path, labels=True).images[0], deep)


def test_colour_is_turned_grey_but_has_no_label_numbers(tmp_path):
    colour = np.zeros((12, 10, 3), np.uint8)
    colour[:, :5] = (0, 0, 200)  # red, as OpenCV orders channels
    path = picture(tmp_path / "a.png", colour)
    np.testing.assert_allclose(read_picture(path).images[0, 0, [0, 9]], [0.299 * 200, 0], atol=1)
    with pytest.raises(DataError, match=r"a\.png: a color image \(expected label numbers"):
        read_picture(path, labels=True)
    same = picture(tmp_path / "b.png", np.repeat(GREY[0, ..., None], 3, axis=2))
    np.testing.assert_array_equal(read_picture(same, labels=True).images[0], GREY[0])


def test_volumes_and_cines_tell_their_frames_spacing_and_slices(tmp_path):
    nib.save(nib.Nifti1Image(GREY.T, np.diag([-0.5, -0.75, 3, 1])), tmp_path / "a.nii.gz")
    write_metaimage(tmp_path / "a.mhd", GREY.T, (0.5, 0.75, 3.0))
    tags = {"PixelSpacing": [0.75, 0.5]}
    write_dicom(tmp_path / "a.dcm", UltrasoundMultiFrameImageStorage, GREY, tags)
    for name, slices in (("a.nii.gz", True), ("a.mhd", True), ("a.dcm", False)):
        found, header = read_picture(tmp_path / name), read_picture_header(tmp_path / name)
        np.testing.assert_array_equal(found.images, GREY, err_msg=name)
        np.testing.assert_array_equal(read_picture(tmp_path / name, labels=True).images, GREY)
        assert found.spacing == header.spacing == (0.75, 0.5)
        assert (header.frames, found.slices, header.slices) == (3, slices, slices)
    planes = read_picture(tmp_path / "a.nii.gz").planes
    np.testing.assert_allclose(planes[2], [[0, 0, 6], [0, 0.75, 0], [0.5, 0, 0]], atol=1e-6)


def test_a_mask_in_dicom_must_not_have_lost_anything(tmp_path):
    for name, lossy in (("a.dcm", "00"), ("b.dcm", "01")):
        write_dicom(tmp_path / name, UltrasoundMultiFrameImageStorage, GREY, {"LossyImageCompression": lossy})
        np.testing.assert_array_equal(read_picture(tmp_path / name).images, GREY)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.dcm", labels=True).images, GREY)
    with pytest.raises(DataError, match=r"b\.dcm: a mask in lossy compression \(found LossyImageCompression 01"):
        read_picture(tmp_path / "b.dcm", labels=True)


def test_numbers_of_a_volume_that_are_not_whole_are_refused(tmp_path):
    values = np.array([[[0.0, 1.0, 2.0001]]], np.float32).T
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "a.nii")
    np.testing.assert_array_equal(np.unique(read_picture(tmp_path / "a.nii", labels=True).images), [0, 1, 2])
    nib.save(nib.Nifti1Image(values / 4, np.eye(4)), tmp_path / "b.nii")
    with pytest.raises(DataError, match=r"b\.nii: labels between whole numbers"):
        read_picture(tmp_path / "b.nii", labels=True)


def test_a_single_image_is_no_volume(tmp_path):
    nib.save(nib.Nifti1Image(GREY[0].T, np.diag([-1, -1, 1, 1])), tmp_path / "a.nii")
    write_metaimage(tmp_path / "a.mha", GREY[0].T, (1.0, 1.0))
    for name in ("a.nii", "a.mha"):
        assert (read_picture_header(tmp_path / name).frames, read_picture(tmp_path / name).slices) == (1, False)
        np.testing.assert_array_equal(read_picture(tmp_path / name).images, GREY[:1])


def test_a_video_has_frames_but_no_labels(tmp_path):
    steady = np.repeat(np.array([40, 120, 200], np.uint8), 32 * 32).reshape(3, 32, 32)
    write_avi(tmp_path / "a.avi", steady)
    assert read_picture_header(tmp_path / "a.avi").frames is None
    np.testing.assert_allclose(read_picture(tmp_path / "a.avi").images, steady, atol=3)
    with pytest.raises(DataError, match=r"a\.avi: a video \(expected an image or a volume of label numbers\)"):
        read_picture(tmp_path / "a.avi", labels=True)


def test_kinds_go_by_the_name_in_any_case():
    assert [file_type(name) for name in ("A.NII.GZ", "a.b.JPG", "a.gz", "png", "")] == [
        ".nii.gz",
        ".jpg",
        None,
        None,
        None,
    ]
    assert [is_video(name) for name in ("a.MP4", "a.avi", "a.png", "a.xyz")] == [True, True, False, False]


def test_other_kinds_and_missing_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"a\.pmg: unsupported file type.*'\.png'"):
        read_picture(tmp_path / "a.pmg")
    for suffix in (*FLAT, ".nii.gz", ".mhd", ".dcm", ".avi"):
        with pytest.raises(DataError, match=rf"no{suffix}: no such file"):
            read_picture(tmp_path / f"no{suffix}")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp", ".nii", ".mha", ".dcm", ".avi"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_half_a_file_is_an_error_that_names_it(tmp_path, suffix, share):
    large, path = np.random.default_rng(1).integers(0, 256, (64, 64)).astype(np.uint8), tmp_path / f"a{suffix}"
    if suffix == ".nii":
        nib.save(nib.Nifti1Image(large, np.eye(4)), path)
    elif suffix == ".mha":
        write_metaimage(path, large, (1.0, 1.0))
    elif suffix == ".dcm":
        write_dicom(path, UltrasoundMultiFrameImageStorage, large, {})
    elif suffix == ".avi":
        write_avi(path, np.repeat(large[None], 4, axis=0))
    else:
        picture(path, large)
    assert read_picture(path).images.shape[1:] == (64, 64)
    content = path.read_bytes()
    path.write_bytes(content[: round(share * len(content))])
    with pytest.raises(DataError, match=rf"a{suffix}: "):
        read_picture(path)


def test_pages_that_would_be_lost_and_values_that_are_none(tmp_path):
    assert cv2.imwritemulti(str(tmp_path / "a.tif"), list(GREY))
    with pytest.raises(DataError, match=r"a\.tif: too many pages \(found 3, expected 1\)"):
        read_picture(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"b\.tif: pixel values that are not finite"):
        read_picture(picture(tmp_path / "b.tif", np.full((4, 4), np.nan, np.float32)))
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 2, 3), np.uint8), np.eye(4)), tmp_path / "c.nii")
    with pytest.raises(
        DataError, match=r"c\.nii: unsupported shape \(found \(4, 4, 2, 3\), expected one image or one volume\)"
    ):
        read_picture(tmp_path / "c.nii")


@pytest.mark.parametrize("scale", [1 / 255, 0.01, 10.0])
def test_intensities_are_converted_alike_in_every_format(tmp_path, scale):
    values = (GREY.astype(np.float32) * np.float32(scale))[:1]
    nib.save(nib.Nifti1Image(values.T, np.diag([-1, -1, 1, 1])), tmp_path / "a.nii")
    write_metaimage(tmp_path / "a.mha", values[0].T, (1.0, 1.0))
    picture(tmp_path / "a.tif", values[0])
    for name in ("a.nii", "a.mha", "a.tif"):
        found = read_picture(tmp_path / name).images
        np.testing.assert_array_equal(found, percentile_window(GREY[:1] * np.float64(scale)), err_msg=name)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_damaged_pictures_are_our_message_only(tmp_path, capfd, suffix):
    path = tmp_path / f"a{suffix}"
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    assert cv2.imwrite(str(path), pixels)
    content = bytearray(path.read_bytes())
    if suffix == ".jpg":
        content = content[: len(content) // 2] + b"\xff\xd9"  # ends like a complete file
    else:
        content[len(content) // 2 : len(content) // 2 + 40] = bytes(40)
        content = content[: -len(content) // 4] if suffix == ".tif" else content
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.(png|tif|jpg): (not a readable picture|damaged \(Corrupt JPEG data)"):
        read_picture(path)
    assert capfd.readouterr().err == ""
