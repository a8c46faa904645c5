"""Arrays in `.npy` and `.npz` files against numpy's own reader, and the refusal of everything else."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from trainables.common.errors import DataError
from trainables.data.readers import npy
from trainables.data.readers.array_frames import read_array_axes, read_array_frames
from trainables.data.readers.grey import percentile_window
from trainables.data.readers.limits import size_limit
from trainables.data.readers.npy import read_array, read_array_header
from trainables.data.readers.pictures import read_picture, read_picture_header

VOLUME = np.random.default_rng(0).integers(0, 256, (5, 6, 7)).astype(np.uint8)
"""Five rows and six columns of seven slices, unless another axis is chosen."""


def save(path: Path, array: np.ndarray) -> Path:
    (np.savez_compressed if path.suffix == ".npz" else np.save)(path, array)
    return path


def header(shape: str, descr: str = "'|u1'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize("dtype", ["u1", "<i2", ">i2", "<f4", ">f8", "?", "<f2", "<u8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_those_that_numpy_reads(tmp_path, name, dtype, order):
    array = np.asarray(VOLUME[..., :3] > 99 if dtype == "?" else VOLUME[..., :3], dtype, order=order)
    found = read_array(save(tmp_path / name, array))
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype
    assert isinstance(found, np.memmap) == (name == "a.npy")
    assert read_array_header(tmp_path / name).shape == array.shape


def test_an_array_is_cut_along_the_third_axis_or_the_one_that_is_set(tmp_path):
    path = save(tmp_path / "a.npy", VOLUME)
    np.testing.assert_array_equal(read_array_frames(path), VOLUME.transpose(2, 0, 1))
    np.testing.assert_array_equal(read_array_frames(path, 0), VOLUME)
    np.testing.assert_array_equal(read_array_frames(path, 1), VOLUME.transpose(1, 0, 2))
    found, told = read_picture(path, slice_axis=0), read_picture_header(path, 0)
    np.testing.assert_array_equal(found.images, VOLUME)
    assert (found.slices, found.spacing, found.grid) == (True, None, None)
    assert (told.frames, told.slices, told.slice_axis) == (5, True, 0)
    single = save(tmp_path / "b.npy", VOLUME[:1])
    np.testing.assert_array_equal(read_picture(single).images, VOLUME[:1])
    assert (read_picture_header(single).frames, read_picture_header(single).slice_axis) == (1, None)
    flat = save(tmp_path / "c.npy", VOLUME[0])
    np.testing.assert_array_equal(read_picture(flat).images, VOLUME[:1])


def test_values_are_stretched_as_those_of_other_formats_and_labels_kept(tmp_path):
    deep = VOLUME.astype(np.float64) * 13 - 400
    path = save(tmp_path / "a.npz", deep)
    np.testing.assert_array_equal(read_picture(path).images, percentile_window(deep).transpose(2, 0, 1))
    np.testing.assert_array_equal(read_picture(path, labels=True).images, deep.transpose(2, 0, 1))
    bits = save(tmp_path / "b.npy", VOLUME[0] > 99)
    np.testing.assert_array_equal(read_picture(bits).images[0], (VOLUME[0] > 99) * 255)
    np.testing.assert_array_equal(read_picture(bits, labels=True).images[0], VOLUME[0] > 99)
    with pytest.raises(DataError, match=r"c\.npy: labels between whole numbers"):
        read_picture(save(tmp_path / "c.npy", VOLUME[0] / 2), labels=True)


def test_a_last_axis_of_three_is_colors_only_where_they_are_kept(tmp_path):
    colored = save(tmp_path / "a.npy", VOLUME[..., :3])
    np.testing.assert_array_equal(read_picture(colored, channels="rgb").images, VOLUME[None, ..., :3])
    assert read_array_axes(colored, None, "rgb").frames == 1
    for read in (read_picture, read_picture_header):
        with pytest.raises(
            DataError, match=r"a\.npy: a last axis of colours or of slices .* set layout\.channels to rgb"
        ):
            read(colored)
    assert read_picture(colored, slice_axis=2).images.shape == (3, 5, 6)
    assert read_picture(colored, labels=True).images.shape == (3, 5, 6)
    movie = save(tmp_path / "b.npy", np.stack([VOLUME[..., :3]] * 4, axis=2))
    assert read_picture(movie, channels="rgb").images.shape == (4, 5, 6, 3)
    np.testing.assert_array_equal(read_picture(movie, channels="rgb").images[3], VOLUME[..., :3])
    with pytest.raises(DataError, match=r"unsupported shape .*set layout\.channels to rgb"):
        read_picture(movie)
    gray = save(tmp_path / "c.npy", VOLUME)
    assert read_picture(gray, channels="rgb").images.shape == (7, 5, 6)


def test_an_array_of_several_is_named_after_the_file(tmp_path):
    np.savez(tmp_path / "a.npz", imgs=VOLUME, gts=VOLUME > 99)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.npz::imgs", slice_axis=0).images, VOLUME)
    masks = read_picture(tmp_path / "a.npz::gts", labels=True, slice_axis=0).images
    np.testing.assert_array_equal(masks, VOLUME > 99)
    with pytest.raises(DataError, match=r"a\.npz: expected one array \(found imgs, gts\)\. Fix: .*a\.npz::imgs"):
        read_array(tmp_path / "a.npz")
    with pytest.raises(
        DataError, match=r"a\.npz::img: no array 'img' in the file \(found imgs, gts\); did you mean 'imgs'"
    ):
        read_array(tmp_path / "a.npz::img")
    with pytest.raises(DataError, match=r"b\.npz::x: no such file"):
        read_picture(tmp_path / "b.npz::x")


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (np.zeros((4, 4), complex), "found complex128, expected real numbers"),
        (np.zeros((4, 4), [("a", "u1"), ("b", "u1")]), "found structured values"),
        (np.full((4, 4), None), "found object"),
        (np.full((4, 4), "text"), "found <U4"),
        (np.zeros((4, 4), "M8[s]"), "found datetime64"),
        (np.zeros((4, 4), np.longdouble), "found float128"),
        (np.full((4, 4), np.nan), "values that are not finite"),
        (np.zeros((0, 4)), "no values"),
        (np.zeros(()), "no values"),
        (np.zeros(7), "unsupported shape"),
        (np.zeros((2, 2, 2, 2)), "unsupported shape"),
    ],
    ids=str,
)
def test_anything_but_an_image_is_refused_by_name(tmp_path, name, array, problem):
    with np.errstate(all="ignore"):
        path = save(tmp_path / name, array)
    with pytest.raises(DataError, match=problem):
        read_picture(path)


def test_pickles_are_never_loaded(tmp_path, monkeypatch):
    path = save(tmp_path / "a.npy", np.array([[{"a": 1}]], object))
    monkeypatch.setattr("pickle.load", lambda *_, **__: pytest.fail("unpickled"))
    with pytest.raises(DataError, match="found object"):
        read_picture(path)


@pytest.mark.parametrize("cut", [3, 9, 60, 128, 200])
def test_truncated_files_are_refused(tmp_path, cut):
    for name in ("a.npy", "a.npz"):
        path = save(tmp_path / name, VOLUME)
        path.write_bytes(path.read_bytes()[:cut])
        for read in (read_picture, read_picture_header):
            with pytest.raises(DataError, match=rf"{name}: "):
                read(path)


def test_surplus_bytes_and_damaged_members_are_refused(tmp_path):
    path = save(tmp_path / "a.npy", VOLUME)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(DataError, match="more bytes than its header says"):
        read_picture(path)
    np.savez(tmp_path / "b.npz", VOLUME)
    content = bytearray((tmp_path / "b.npz").read_bytes())
    content[content.index(VOLUME.tobytes()[:40]) + 20] ^= 1
    (tmp_path / "b.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"b\.npz: not a readable array .*CRC"):
        read_picture(tmp_path / "b.npz")


def test_a_size_is_refused_before_a_value_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(npy, "_values", lambda *_: pytest.fail("read"))
    monkeypatch.setattr(np, "memmap", lambda *_: pytest.fail("mapped"))
    for name in ("a.npy", "a.npz"):
        path = save(tmp_path / name, VOLUME)
        with size_limit(1e-7), pytest.raises(DataError, match=rf"{name}: too large to decode .*5 x 6 x 7 of uint8"):
            read_picture(path)


def bomb(path: Path, member: bytes, said: int) -> Path:
    """Write an archive whose directory says that a short member has `said` bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", member)
        archive.getinfo("a.npy").file_size = said
    return path


def test_archives_that_grow_are_refused_by_what_their_header_says(tmp_path):
    lie = bomb(tmp_path / "a.npz", header("(40000, 40000, 9)") + bytes(99), 128 + 40000 * 40000 * 9)
    with pytest.raises(DataError, match=r"a\.npz: too large to decode \(found 14\.4 GB"):
        read_picture(lie)
    short = bomb(tmp_path / "b.npz", header("(30, 30)") + bytes(99), 128 + 900)
    with pytest.raises(DataError, match=r"b\.npz: (not a readable array|truncated)"):
        read_picture(short)
    zeros = io.BytesIO()
    with zipfile.ZipFile(zeros, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", header("(30, 30)") + bytes(10**7))
    (tmp_path / "c.npz").write_bytes(zeros.getvalue())
    with pytest.raises(DataError, match=r"c\.npz: more bytes than its header says"):
        read_picture(tmp_path / "c.npz")
    with zipfile.ZipFile(zeros, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x02\x00" + (10**9).to_bytes(4, "little") + b" " * 10**7)
    (tmp_path / "d.npz").write_bytes(zeros.getvalue())
    with pytest.raises(DataError, match=r"d\.npz: header too long"):
        read_picture(tmp_path / "d.npz")


@pytest.mark.parametrize(
    "text", ["(-1, 5)", "(5, 2.0)", "(10**9, 2)", "[]", "__import__('os')", "(True, 5)", "(18446744073709551616, 5)"]
)
def test_headers_that_make_no_sense_are_data_errors(tmp_path, text):
    (tmp_path / "a.npy").write_bytes(header(text) + bytes(10))
    with pytest.raises(DataError, match=r"a\.npy: "):
        read_picture(tmp_path / "a.npy")
