"""Arrays in HDF5 files against h5py's own reader, and the refusal of everything else."""

import sys
from pathlib import Path

import numpy as np
import pytest

from trainables.common.errors import DataError
from trainables.data.readers.hdf5 import read_hdf5, read_hdf5_shape
from trainables.data.readers.limits import size_limit
from trainables.data.readers.pictures import read_picture, read_picture_header

VOLUME = np.random.default_rng(0).integers(0, 256, (5, 6, 7)).astype(np.int16)


def test_the_error_without_h5py_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "a.h5").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataError, match=r"a\.h5: .*h5py\. Fix: pip install 'pretext-study\[hdf5\]'"):
        read_picture(tmp_path / "a.h5")


@pytest.fixture
def h5py():
    return pytest.importorskip("h5py")


def save(h5py, path: Path, **arrays: object) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name.replace("__", "/")] = array
    return path


@pytest.mark.parametrize("dtype", ["u1", "<i2", ">i4", "<f4", ">f8", "?"])
def test_arrays_are_those_that_h5py_reads(tmp_path, h5py, dtype):
    array = VOLUME.astype(dtype)
    path = save(h5py, tmp_path / "a.hdf5", group__image=array)
    np.testing.assert_array_equal(read_hdf5(path), array)
    assert read_hdf5_shape(path) == array.shape
    found, told = read_picture(path, labels=True, slice_axis=0), read_picture_header(path, 0)
    np.testing.assert_array_equal(found.images, array)
    assert (told.frames, told.slices, told.slice_axis) == (5, True, 0)


def test_compressed_chunks_and_one_array_of_several(tmp_path, h5py):
    path = save(h5py, tmp_path / "a.h5", series__image=VOLUME)
    with h5py.File(path, "a") as file:
        file.create_dataset("series/mask", data=VOLUME > 99, chunks=(2, 3, 4), compression="gzip", fletcher32=True)
    np.testing.assert_array_equal(read_hdf5(tmp_path / "a.h5::series/mask"), VOLUME > 99)
    with pytest.raises(
        DataError, match=r"expected one array \(found series/image, series/mask\)\. Fix: .*a\.h5::series/i"
    ):
        read_hdf5(path)
    with pytest.raises(DataError, match=r"no array 'mask' in the file"):
        read_hdf5(tmp_path / "a.h5::mask")


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (np.zeros((4, 4), complex), "found complex128"),
        (np.zeros((4, 4), [("a", "u1"), ("b", "u1")]), "found structured values"),
        (np.full((4, 4), b"text"), r"found \|S4"),
        (["text", "more"], "found object"),
        (np.full((4, 4), np.inf), "values that are not finite"),
        (np.zeros((0, 4)), "no values"),
        (np.float64(3), "no values"),
        (np.zeros(7), "unsupported shape"),
    ],
    ids=str,
)
def test_anything_but_an_image_is_refused_by_name(tmp_path, h5py, array, problem):
    with pytest.raises(DataError, match=problem):
        read_picture(save(h5py, tmp_path / "a.h5", image=array))


def test_links_and_values_in_other_files_are_not_followed(tmp_path, h5py):
    other = save(h5py, tmp_path / "other.h5", image=VOLUME)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"] = h5py.ExternalLink(str(other), "image")
    with pytest.raises(DataError, match=r"a\.h5: expected one array \(found none\)"):
        read_hdf5(tmp_path / "a.h5")
    with pytest.raises(DataError, match="no array 'image'"):
        read_hdf5(tmp_path / "a.h5::image")
    (tmp_path / "raw").write_bytes(VOLUME.tobytes())
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("image", VOLUME.shape, VOLUME.dtype, external=[(str(tmp_path / "raw"), 0, VOLUME.nbytes)])
    with h5py.File(tmp_path / "c.h5", "w") as file:
        layout = h5py.VirtualLayout(VOLUME.shape, VOLUME.dtype)
        layout[:] = h5py.VirtualSource(str(other), "image", VOLUME.shape)
        file.create_virtual_dataset("image", layout)
    for name in ("b.h5", "c.h5"):
        with pytest.raises(DataError, match=rf"{name}: keeps its values in other files"):
            read_hdf5(tmp_path / name)


def test_sizes_are_refused_before_a_value_is_read(tmp_path, h5py):
    with h5py.File(tmp_path / "a.h5", "w") as file:  # nothing is written, so that the file is small
        file.create_dataset("image", (40_000, 40_000, 9), np.uint8, chunks=(10, 10, 9))
    with pytest.raises(DataError, match=r"a\.h5: too large to decode \(found 14\.4 GB"):
        read_picture(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("image", (9, 9), np.uint8, chunks=(9000, 9000), maxshape=(9000, 9000))
    with size_limit(0.01), pytest.raises(DataError, match=r"b\.h5: too large to decode .*9000 x 9000"):
        read_picture(tmp_path / "b.h5")


def test_truncated_files_are_refused(tmp_path, h5py):
    path = save(h5py, tmp_path / "a.h5", image=VOLUME)
    content = path.read_bytes()
    for cut in (0, 7, 100, len(content) - 1):
        path.write_bytes(content[:cut])
        for read in (read_picture, read_picture_header):
            with pytest.raises(DataError, match=r"a\.h5: not a readable array"):
                read(path)
