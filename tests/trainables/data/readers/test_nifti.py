import contextlib

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainables.common.errors import DataError
from trainables.data.readers.nifti import find_nifti, read_labels, read_nifti, read_nifti_header


def save(path, array, affine, zooms=None):
    image = nib.Nifti1Image(array, affine)
    if zooms is not None:
        image.header.set_zooms(zooms)
    nib.save(image, path)
    return path


def turned(seed):
    """Return a random rotation matrix `(3, 3)`."""
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.diag(r))


@given(seed=st.integers(0, 10_000))
def test_every_voxel_lies_in_the_patient_where_the_affine_puts_it(tmp_path_factory, seed):
    rng = np.random.default_rng(seed)
    affine = np.eye(4)
    affine[:3, :3] = turned(seed) * rng.uniform(0.5, 3, 3)
    affine[:3, 3] = rng.normal(0, 100, 3)
    shape = tuple(rng.integers(2, 7, 3))
    array = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    path = save(tmp_path_factory.mktemp("n") / "a.nii", array, affine)
    values, header = read_nifti(path, slice_axis=2)
    upright, planes = header.grid.upright(values), header.grid.planes()
    assert upright.shape == (shape[2], shape[1], shape[0])
    for slice_, row, column in rng.integers(0, upright.shape, (5, 3)):
        origin, down, right = planes[slice_]
        place = origin + row * down + column * right
        i, j, k = np.unravel_index(upright[slice_, row, column], shape)  # each voxel holds its own number
        expected = nib.load(path).affine @ [i, j, k, 1]
        np.testing.assert_allclose(place, expected[:3] * [-1, -1, 1], atol=1e-3)
    np.testing.assert_allclose((np.linalg.norm(planes[0, 1]), np.linalg.norm(planes[0, 2])), header.spacing, rtol=1e-4)


@pytest.mark.parametrize("axes", [(1, 1, 1), (-1, -1, 1), (-1, 1, 1), (1, -1, -1)])
def test_axial_slices_are_shown_as_radiologists_see_them(tmp_path, axes):
    """Anterior at the top and the patient's right on the left, whichever way the file runs."""
    world = np.zeros((8, 8, 2), np.uint8)  # x to the right, y to the front, as NIfTI's world
    world[6, 5, 0] = 9
    flips = tuple(slice(None, None, step) for step in axes)
    origin = [0 if step > 0 else size - 1 for step, size in zip(axes, world.shape, strict=True)]
    affine = np.diag([*axes, 1]).astype(float)
    affine[:3, 3] = origin
    values, header = read_nifti(save(tmp_path / "a.nii.gz", world[flips], affine))
    slice_, row, column = np.argwhere(header.grid.upright(values) == 9)[0]
    assert (row, column) == (7 - 5, 7 - 6)
    np.testing.assert_allclose(header.grid.planes()[slice_][0] + [column, row, 0], [-6, -5, 0], atol=1e-6)


def test_moments_come_first(tmp_path):
    array = np.random.default_rng(0).integers(0, 99, (4, 5, 3, 2)).astype(np.int16)
    values, header = read_nifti(save(tmp_path / "a.nii", array, np.diag([-2.0, -3, 4, 1])))
    assert (header.slices, header.timepoints, header.spacing) == (3, 2, (3.0, 2.0))
    np.testing.assert_array_equal(header.grid.upright(values), array.transpose(3, 2, 1, 0))


def test_a_header_without_geometry_has_none(tmp_path):
    image = nib.Nifti1Image(np.ones((4, 5, 3), np.uint8), None)
    image.header["pixdim"][1:4] = 0
    nib.save(image, tmp_path / "a.nii")
    header = read_nifti_header(tmp_path / "a.nii")
    assert (header.grid.zooms, header.spacing, header.grid.affine, header.grid.planes()) == (None, None, None, None)
    assert not header.contradiction


def test_an_affine_that_contradicts_the_spacing_is_not_believed(tmp_path):
    image = nib.Nifti1Image(np.ones((4, 5, 3), np.uint8), np.eye(4))
    image.header["pixdim"][1:4] = (1.7, 1.7, 5)
    image.header["qform_code"] = 0
    nib.save(image, tmp_path / "a.nii")
    header = read_nifti_header(tmp_path / "a.nii")
    assert header.contradiction
    assert header.grid.planes() is None
    assert header.spacing == pytest.approx((1.7, 1.7))


def test_faults_are_one_clear_error(tmp_path):
    path = save(tmp_path / "a.nii.gz", np.ones((4, 5), np.float32), np.eye(4))
    torn = tmp_path / "torn.nii.gz"
    torn.write_bytes(path.read_bytes()[:-20])
    for broken, text in ((tmp_path / "no.nii", "not a readable NIfTI image"), (torn, "not a readable NIfTI image")):
        with pytest.raises(DataError, match=text) as caught:
            read_nifti(broken)
        assert str(broken) in str(caught.value)
    (tmp_path / "text.nii").write_text("hello")
    with pytest.raises(DataError, match=r"text.nii: not a readable"):
        read_nifti_header(tmp_path / "text.nii")
    with pytest.raises(DataError, match="not finite"):
        read_nifti(save(tmp_path / "nan.nii", np.full((2, 2), np.nan, np.float32), np.eye(4)))
    assert find_nifti(tmp_path / "a") == path
    assert find_nifti(tmp_path / "b") is None
    assert find_nifti(tmp_path / ("b" * 300)) is None  # longer than a name can be


def test_labels_are_whole_numbers(tmp_path):
    path = save(tmp_path / "a.nii", np.array([[0.0, 0.9999], [2.0001, 3]], np.float32), np.eye(4))
    assert read_labels(path)[0].tolist() == [[0, 1], [2, 3]]


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, 351), st.integers(0, 255)), max_size=5),
    end=st.none() | st.integers(0, 400),
)
def test_no_damaged_header_makes_the_reader_crash(tmp_path, changes, end):
    path = save(tmp_path / "a.nii", np.ones((4, 5, 3), np.int16), np.eye(4))
    content = bytearray(path.read_bytes())
    for place, value in changes:
        content[place] = value
    path.write_bytes(content[:end])
    for reader in (read_nifti_header, read_nifti):
        with contextlib.suppress(DataError):
            reader(path)


@pytest.mark.parametrize(("place", "value"), [(71, 45), (108, b"\x00\x00\x80\x3f")])
def test_a_type_that_is_none_and_an_offset_into_the_header(tmp_path, place, value):
    path = save(tmp_path / "a.nii", np.ones((4, 5), np.int16), np.eye(4))
    content = bytearray(path.read_bytes())
    value = value if isinstance(value, bytes) else bytes([value])
    content[place : place + len(value)] = value
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.nii: not a readable NIfTI image"):
        read_nifti_header(path)


@pytest.mark.parametrize(("code", "factor"), [(0, 1), (1, 1e-3), (2, 1), (3, 1e3), (8 + 3, 1e3)])
def test_lengths_are_in_the_headers_unit(tmp_path, code, factor):
    affine = np.diag([-1.5 * factor, -1.25 * factor, 8 * factor, 1])
    affine[:3, 3] = np.array([10, 20, 30]) * factor
    image = nib.Nifti1Image(np.ones((4, 5, 3), np.uint8), affine)
    image.header["xyzt_units"] = code
    nib.save(image, tmp_path / "a.nii")
    header = read_nifti_header(tmp_path / "a.nii")
    assert header.spacing == pytest.approx((1.25, 1.5))
    np.testing.assert_allclose(header.grid.zooms, (1.5, 1.25, 8), rtol=1e-6)
    np.testing.assert_allclose(header.grid.planes()[0], [[-10, -20, 30], [0, 1.25, 0], [1.5, 0, 0]], rtol=1e-6)


@pytest.mark.parametrize("acquired", [0, 1, 2])
def test_the_acquisitions_slices_are_those_of_the_header(tmp_path, acquired):
    image = nib.Nifti1Image(np.ones((4, 5, 3), np.uint8), np.diag([1, 1, 9, 1]))
    image.header.set_dim_info(slice=acquired)
    nib.save(image, tmp_path / "a.nii")
    assert read_nifti_header(tmp_path / "a.nii").slices == (4, 5, 3)[acquired]
    assert read_nifti_header(tmp_path / "a.nii", 1).slices == 5


@pytest.mark.parametrize("factory", [nib.Nifti1Image, nib.Nifti2Image])
def test_any_flipped_bit_of_a_compressed_volume_is_a_fault(tmp_path, factory):
    rng = np.random.default_rng(0)
    path = tmp_path / "a.nii.gz"
    nib.save(factory(rng.integers(0, 40, (24, 20, 6)).astype(np.int16), np.diag([1.5, 1.5, 8, 1])), path)
    content = path.read_bytes()
    np.testing.assert_array_equal(read_nifti(path)[0], nib.load(path).dataobj)
    for place in rng.integers(20, len(content), 40):  # behind the name in gzip's own header
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"a\.nii\.gz: "):
            read_nifti(path)


@pytest.mark.parametrize(
    ("dtype", "found"), [([("R", "u1"), ("G", "u1"), ("B", "u1")], "RGB"), (np.complex64, "complex64")]
)
def test_voxels_that_are_not_one_number_are_a_named_fault(tmp_path, dtype, found):
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 3), dtype), np.eye(4)), tmp_path / "a.nii.gz")
    for reader in (read_nifti_header, read_nifti):
        with pytest.raises(DataError, match=rf"a\.nii\.gz: unsupported type of voxels \(found {found}, expected one"):
            reader(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("slope", [float("nan"), 0.0])
def test_a_slope_that_is_none_leaves_the_stored_values(tmp_path, slope):
    values = np.arange(60, dtype=np.int16).reshape(4, 5, 3)
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[112:120] = np.array([slope, 5], "<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    np.testing.assert_array_equal(read_nifti(tmp_path / "a.nii")[0], values)
