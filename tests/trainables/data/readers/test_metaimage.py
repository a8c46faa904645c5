import gzip
import math
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from trainables.common.errors import DataError
from trainables.data.readers import metaimage
from trainables.data.readers.metaimage_writer import write_metaimage

HEADER = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "Offset": "0 0 0",
    "CenterOfRotation": "0 0 0",
    "AnatomicalOrientation": "RAI",
    "ElementSpacing": "0.308 0.154 1.54",
    "DimSize": "3 2 2",
    "ElementType": "MET_UCHAR",
    "ElementDataFile": "a.raw",
}


def put(folder, data=bytes(range(12)), name="a.raw", **changes):
    """Write a header as ITK writes it, with tags changed or (None) left out, and its pixels."""
    tags = {key: value for key, value in {**HEADER, **changes}.items() if value is not None}
    tags["ElementDataFile"] = tags.pop("ElementDataFile")  # ends the header
    (folder / "a.mhd").write_text("".join(f"{key} = {value}\n" for key, value in tags.items()))
    if data is not None:
        (folder / name).write_bytes(data)
    return folder / "a.mhd"


def test_the_first_axis_runs_fastest(tmp_path):
    image = metaimage.read_metaimage(put(tmp_path))
    assert image.array.shape == (3, 2, 2)
    for x in range(3):
        for y in range(2):
            for z in range(2):
                assert image.array[x, y, z] == x + 3 * y + 6 * z
    assert image.spacing == (0.308, 0.154, 1.54)
    assert image.offset == (0, 0, 0)


@pytest.mark.parametrize(
    ("element", "code", "low", "high"),
    [
        ("MET_CHAR", "b", -128, 127),
        ("MET_UCHAR", "B", 0, 255),
        ("MET_SHORT", "h", -(2**15), 2**15 - 1),
        ("MET_USHORT", "H", 0, 2**16 - 1),
        ("MET_INT", "i", -(2**31), 2**31 - 1),
        ("MET_UINT", "I", 0, 2**32 - 1),
        ("MET_LONG", "i", -(2**31), 2**31 - 1),
        ("MET_ULONG", "I", 0, 2**32 - 1),
        ("MET_LONG_LONG", "q", -(2**63), 2**63 - 1),
        ("MET_ULONG_LONG", "Q", 0, 2**64 - 1),
        ("MET_FLOAT", "f", -1.5, 0.1),
        ("MET_DOUBLE", "d", -1.5, 0.1),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_element_type_in_both_byte_orders(tmp_path, element, code, low, high, order):
    values = [low, high, 1, 2]
    data = struct.pack(f"{order}4{code}", *values)
    changes = {"DimSize": "2 2 1", "ElementType": element, "BinaryDataByteOrderMSB": str(order == ">")}
    array = metaimage.read_metaimage(put(tmp_path, data, **changes)).array
    expected = struct.unpack(f"=4{code}", struct.pack(f"=4{code}", *values))
    assert array.ravel(order="F").tolist() == list(expected)
    assert array.dtype.isnative


@pytest.mark.parametrize("pack", [zlib.compress, gzip.compress])
def test_compressed_pixels(tmp_path, pack):
    data = pack(bytes(range(12)))
    path = put(tmp_path, data, name="a.zraw", CompressedData="True", ElementDataFile="a.zraw")
    assert metaimage.read_metaimage(path).array.ravel(order="F").tolist() == list(range(12))


def test_pixels_after_their_header(tmp_path):
    path = put(tmp_path, None, ElementDataFile="LOCAL")
    path.write_bytes(path.read_bytes() + bytes(range(12)))
    assert metaimage.read_metaimage(path).array[2, 1, 1] == 11


def test_bytes_before_the_pixels_are_skipped(tmp_path):
    for skip in ("4", "-1"):
        path = put(tmp_path, b"head" + bytes(range(12)), HeaderSize=skip)
        assert metaimage.read_metaimage(path).array.ravel(order="F").tolist() == list(range(12))


def test_channels_come_last(tmp_path):
    array = metaimage.read_metaimage(put(tmp_path, DimSize="3 2 1", ElementNumberOfChannels="2")).array
    assert array.shape == (3, 2, 1, 2)
    assert array[1, 1, 0].tolist() == [8, 9]  # the fifth sample's two values


def test_geometry_as_itk_orders_it(tmp_path):
    """Check that a matrix is read axis by axis: here the first axis of the array points along y."""
    image = metaimage.read_metaimage(put(tmp_path, TransformMatrix="0 1 0 -1 0 0 0 0 1", Offset="-4.5 2 1e1"))
    assert image.direction == ((0, 1, 0), (-1, 0, 0), (0, 0, 1))
    assert image.offset == (-4.5, 2, 10)


def test_what_a_header_leaves_out_is_none(tmp_path):
    image = metaimage.read_metaimage(put(tmp_path, ElementSpacing=None, Offset=None, TransformMatrix=None))
    assert (image.spacing, image.offset, image.direction) == (None, None, None)
    assert metaimage.read_metaimage(put(tmp_path, ElementSpacing=None, ElementSize="1 2 3")).spacing == (1, 2, 3)


def test_windows_line_ends(tmp_path):
    path = put(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert metaimage.read_metaimage(path).array.shape == (3, 2, 2)


@pytest.mark.parametrize(
    ("changes", "data", "message"),
    [
        ({}, None, r"a\.raw are not readable \(No such file"),
        ({}, bytes(11), "a.raw holds 11 bytes of pixels, expected 12"),
        ({}, bytes(13), "a.raw holds 13 bytes of pixels, expected 12"),
        ({"HeaderSize": "99"}, bytes(12), "holds 0 bytes"),
        ({"ElementType": "MET_UCHR"}, bytes(12), "ElementType 'MET_UCHR' is not supported; did you mean 'MET_UCHAR'"),
        ({"ElementType": None}, bytes(12), "no ElementType"),
        ({"DimSize": None}, bytes(12), "no DimSize"),
        ({"DimSize": "3 2"}, bytes(12), "DimSize '3 2', expected 3 whole numbers from 1 up"),
        ({"DimSize": "3 -2 2"}, bytes(12), "DimSize"),
        ({"DimSize": f"{10**30} 2 2"}, bytes(12), "expected 4000000"),
        ({"NDims": "many"}, bytes(12), "NDims 'many', expected a whole number"),
        ({"NDims": "11"}, bytes(12), "NDims 11, expected 1 to 10"),
        ({"ElementSpacing": "1 1"}, bytes(12), "ElementSpacing '1 1', expected 3 finite numbers"),
        ({"ElementSpacing": "1 0 1"}, bytes(12), "expected numbers above 0"),
        ({"ElementSpacing": "1 nan 1"}, bytes(12), "finite"),
        ({"TransformMatrix": "1 0"}, bytes(12), "TransformMatrix"),
        ({"BinaryData": "False"}, bytes(12), "pixels written as text"),
        ({"CompressedData": "Perhaps"}, bytes(12), "expected True or False"),
        ({"CompressedData": "True"}, bytes(12), "compressed pixels in a.raw are damaged"),
        ({"CompressedData": "True"}, zlib.compress(bytes(11)), "holds 11 uncompressed bytes"),
        ({"CompressedData": "True"}, zlib.compress(bytes(99)), "holds more than 12 uncompressed bytes"),
        ({"CompressedData": "True"}, zlib.compress(bytes(12))[:-4], "cut short"),
        ({"CompressedData": "True", "DimSize": f"{10**30} 2 2"}, zlib.compress(bytes(12)), "expected 4000000"),
        ({"ObjectType": "Tube"}, bytes(12), "ObjectType Tube, expected Image"),
        ({"ElementDataFile": "../a.raw"}, bytes(12), "leaves the header's folder"),
        ({"ElementDataFile": "x/../../a.raw"}, bytes(12), "leaves the header's folder"),
        ({"ElementDataFile": "/etc/passwd"}, bytes(12), "leaves the header's folder"),
        ({"ElementDataFile": "LIST"}, bytes(12), "expected one file"),
        ({"ElementDataFile": "a%03d.raw 1 2 1"}, bytes(12), "expected one file"),
        ({"ElementDataFile": "."}, bytes(12), "not readable"),
    ],
)
def test_every_fault_is_one_message(tmp_path, changes, data, message):
    folder = tmp_path / "inner"
    folder.mkdir()
    (tmp_path / "a.raw").write_bytes(bytes(12))  # what a path that leaves the folder would find
    path = put(folder, data, **changes)
    with pytest.raises(DataError, match=message) as caught:
        metaimage.read_metaimage(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"hello", b"NDims = 3\n", b"\x1f\x8b" + bytes(range(200))])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "a.mhd").write_bytes(content)
    with pytest.raises(DataError, match="not a MetaImage header"):
        metaimage.read_metaimage(tmp_path / "a.mhd")


def test_a_missing_header_and_a_folder(tmp_path):
    for path in (tmp_path / "none.mhd", tmp_path):
        with pytest.raises(DataError, match="not readable"):
            metaimage.read_metaimage(path)


def test_the_header_alone_needs_no_pixels(tmp_path):
    header = metaimage.read_metaimage_header(put(tmp_path, None))
    assert header.size == (3, 2, 2)
    assert header.nbytes == 12
    assert header.file == "a.raw"


@pytest.mark.parametrize("code", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", ">i2"])
@pytest.mark.parametrize(("name", "compress"), [("a.mhd", False), ("a.mhd", True), ("a.mha", False), ("a.mha", True)])
def test_what_is_written_is_read_back(tmp_path, code, name, compress):
    array = np.arange(24).reshape(2, 3, 4).astype(code)
    write_metaimage(tmp_path / name, array, (0.5, 1 / 3, 2.0), compress=compress)
    image = metaimage.read_metaimage(tmp_path / name)
    np.testing.assert_array_equal(image.array, array)
    assert image.array.dtype == np.dtype(code).newbyteorder("=")
    assert image.spacing == pytest.approx((0.5, 1 / 3, 2.0), rel=1e-8)
    assert image.direction == ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    beside = {"a.mhd": {"a.mhd", "a.zraw" if compress else "a.raw"}, "a.mha": {"a.mha"}}[name]
    assert {path.name for path in tmp_path.iterdir()} == beside


def test_written_bytes_are_little_endian_with_the_first_axis_fastest(tmp_path):
    write_metaimage(tmp_path / "a.mhd", np.array([[1, 2], [3, 4]], ">u2"), (1.0, 1.0))
    assert (tmp_path / "a.raw").read_bytes() == struct.pack("<4H", 1, 3, 2, 4)
    lines = dict(line.split(" = ") for line in (tmp_path / "a.mhd").read_text().splitlines())
    assert list(lines)[-1] == "ElementDataFile"
    assert {key: lines[key] for key in ("NDims", "DimSize", "ElementType", "ElementDataFile")} == {
        "NDims": "2",
        "DimSize": "2 2",
        "ElementType": "MET_USHORT",
        "ElementDataFile": "a.raw",
    }


def test_what_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected 2 numbers"):
        write_metaimage(tmp_path / "a.mhd", np.zeros((2, 2)), (1.0,))
    with pytest.raises(ValueError, match="array of bool"):
        write_metaimage(tmp_path / "a.mhd", np.zeros((2, 2), bool), (1.0, 1.0))


tags = st.sampled_from(
    [*HEADER, "ElementNumberOfChannels", "HeaderSize", "ElementSize", "Rotation", "CompressedDataSize"]
)
words = [
    "True",
    "False",
    "1",
    "0",
    "-1",
    "3",
    "MET_FLOAT",
    "MET_UCHAR_ARRAY",
    "LOCAL",
    "LIST",
    "a.raw",
    "../a.raw",
    "nan",
    "²",
]
plausible = st.sampled_from(
    [*words, "nan", "²", "3 2 2", "3 2 ²", "1e999 1 1", "9" * 30, "9" * 5000, "a\0.raw", "x" * 300, "% 1", ""]
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(tags, plausible | st.text(max_size=20), max_size=4), data=st.binary(max_size=40))
@example(changes={"ElementDataFile": "a\0.raw"}, data=b"")
@example(changes={"DimSize": "9" * 5000}, data=b"")
@example(changes={"HeaderSize": "9" * 30}, data=b"")
@example(changes={"HeaderSize": "9" * 30, "CompressedData": "True"}, data=zlib.compress(bytes(12)))
@example(changes={"ElementDataFile": "x" * 300}, data=b"")
def test_any_header_gives_an_image_or_a_data_error(tmp_path, changes, data):
    merged = {**HEADER, **changes}
    text = "\n".join(f"{key} = {value}" for key, value in merged.items()) + "\n"
    (tmp_path / "a.mhd").write_bytes(text.encode("utf-8", "surrogatepass") + data)
    (tmp_path / "a.raw").write_bytes(data)
    try:
        image = metaimage.read_metaimage(tmp_path / "a.mhd")
    except DataError:
        return
    assert 0 < image.array.nbytes <= 40 * 1100
    assert image.array.nbytes == math.prod(image.array.shape) * image.array.itemsize


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300))
def test_any_bytes_give_an_image_or_a_data_error(tmp_path, content):
    (tmp_path / "a.mhd").write_bytes(content)
    with pytest.raises(DataError):
        metaimage.read_metaimage(tmp_path / "a.mhd")
