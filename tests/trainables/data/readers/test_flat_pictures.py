"""Pictures and masks of every orientation, depth, palette and color, against Pillow and closed forms."""

import contextlib
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from trainables.common.errors import DataError
from trainables.data.readers.flat_pictures import read_flat, read_flat_labels
from trainables.data.readers.legend import Legend
from trainables.data.readers.limits import size_limit
from trainables.data.readers.picture_header import open_picture
from trainables.data.readers.pictures import read_pictures

STORED = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
LABELS = np.array([[0, 0, 1, 1], [0, 2, 2, 1], [0, 0, 0, 3]], np.uint8)
SHOWN = {  # EXIF 2.3, section 4.6.4: where the stored row 0 and column 0 lie
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: stored.T,
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).T,
    8: np.rot90,
}


def save(path: Path, image: Image.Image, orientation: int = 1, **settings) -> Path:
    if path.suffix == ".tif":
        image.save(path, tiffinfo={274: orientation}, **settings)
    else:
        exif = Image.Exif()
        exif[274] = orientation
        image.save(path, exif=exif, **settings)
    return path


@pytest.mark.parametrize("orientation", SHOWN)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_images_are_shown_as_exif_says(tmp_path, suffix, orientation):
    stored = np.kron(STORED, np.ones((8, 8), np.uint8))
    path = save(tmp_path / f"a{suffix}", Image.fromarray(stored), orientation, quality=100)
    np.testing.assert_allclose(read_flat(path), SHOWN[orientation](stored), atol=2 if suffix == ".jpg" else 0)


@pytest.mark.parametrize("orientation", SHOWN)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("kind", ["gray", "palette", "bit", "deep"])
def test_masks_are_shown_as_exif_says(tmp_path, suffix, orientation, kind):
    labels = LABELS
    image = Image.fromarray(LABELS)
    if kind == "palette":
        image = Image.fromarray(LABELS, mode="P")
        image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    elif kind == "bit":
        labels, image = (LABELS > 0).astype(np.uint8), Image.fromarray(LABELS > 0)
    elif kind == "deep":
        image = Image.fromarray(LABELS.astype(np.uint16))
    path = save(tmp_path / f"a{suffix}", image, orientation)
    found = read_flat_labels(path, Legend(frozenset({0, 1, 2, 3})))
    np.testing.assert_array_equal(found, SHOWN[orientation](labels))


def test_an_orientation_behind_the_pixels_counts(tmp_path):
    path = save(tmp_path / "a.png", Image.fromarray(STORED), 6)
    content = path.read_bytes()
    at = content.index(b"eXIf") - 4
    end = at + 12 + struct.unpack(">I", content[at : at + 4])[0]
    path.write_bytes(content[:at] + content[end:-12] + content[at:end] + content[-12:])
    assert path.read_bytes().index(b"IDAT") < path.read_bytes().index(b"eXIf")
    np.testing.assert_array_equal(read_flat(path), SHOWN[6](STORED))


@pytest.mark.parametrize(("bits", "step"), [(1, 255), (2, 85), (4, 17)])
@pytest.mark.parametrize("listed", ["stored", "shown"])
def test_few_bits_are_stored_or_shown_numbers_as_the_legend_says(tmp_path, bits, step, listed):
    labels = LABELS % 2**bits
    packed = np.packbits(np.unpackbits(labels.reshape(3, 4, 1), axis=2)[..., -bits:].reshape(3, -1), axis=1)
    path = write_png(tmp_path / "a.png", 4, 3, bits, b"".join(b"\0" + row.tobytes() for row in packed))
    expected = labels.astype(int) * (step if listed == "shown" else 1)
    legend = Legend(frozenset(np.unique(expected).tolist()))
    np.testing.assert_array_equal(read_flat_labels(path, legend), expected)
    np.testing.assert_array_equal(read_flat_labels(path), labels.astype(int) * step)


def write_png(path: Path, width: int, height: int, bits: int, rows: bytes) -> Path:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    return path


def palette(path: Path, *colors: tuple[int, int, int]) -> Path:
    image = Image.fromarray(LABELS, mode="P")
    image.putpalette([level for color in colors for level in color])
    image.save(path)
    return path


def test_a_palette_gives_indices_gray_levels_or_colors_as_the_legend_says(tmp_path):
    colored = palette(tmp_path / "a.png", (0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255))
    np.testing.assert_array_equal(read_flat_labels(colored), LABELS)
    colors = {(255, 0, 0): 7, (0, 255, 0): 8, (0, 0, 255): 9}
    legend = Legend(frozenset({0, 7, 8, 9}), colors)
    np.testing.assert_array_equal(read_flat_labels(colored, legend), np.array([0, 7, 8, 9])[LABELS])
    gray = palette(tmp_path / "b.png", *((level,) * 3 for level in (0, 85, 170, 255)))
    np.testing.assert_array_equal(read_flat_labels(gray), LABELS.astype(int) * 85)
    np.testing.assert_array_equal(read_flat_labels(gray, Legend(frozenset({1, 2, 3}))), LABELS)
    swapped = palette(tmp_path / "c.png", *((level,) * 3 for level in (0, 2, 1, 3)))
    with pytest.raises(DataError, match=r"c\.png: label numbers of two meanings \(found 2 or 1 for one pixel"):
        read_flat_labels(swapped, Legend(frozenset({1, 2, 3})))


def test_colors_are_label_numbers_where_the_legend_has_them(tmp_path):
    table = np.array([(0, 0, 0), (255, 0, 0), (0, 255, 0), (10, 20, 30)], np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(table[LABELS]).save(path)
    legend = Legend(frozenset({0, 1, 2, 3}), {(255, 0, 0): 1, (0, 255, 0): 2, (10, 20, 30): 3})
    np.testing.assert_array_equal(read_flat_labels(path, legend), LABELS)
    fewer = Legend(frozenset({0, 1, 2}), {(255, 0, 0): 1, (0, 255, 0): 2})
    with pytest.raises(DataError, match=r"colors that the legend lacks \(found #0a141e, expected #00ff00, #ff0000\)"):
        read_flat_labels(path, fewer)
    with pytest.raises(DataError, match=r"a\.png: a color image \(expected label numbers, or the colors"):
        read_flat_labels(path, Legend(frozenset({1, 2, 3})))
    white = tmp_path / "b.png"
    Image.fromarray((LABELS > 0).astype(np.uint8) * 255).save(white)
    found = read_flat_labels(white, Legend(frozenset({0, 1}), {(255, 255, 255): 1}))
    np.testing.assert_array_equal(found, LABELS > 0)


def test_transparency_that_says_more_than_the_colors_is_refused(tmp_path):
    plain = np.dstack([*[LABELS] * 3, np.where(LABELS > 0, 255, 0)]).astype(np.uint8)
    Image.fromarray(plain, "RGBA").save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_flat_labels(tmp_path / "a.png"), LABELS)
    hidden = np.dstack([*[LABELS * 0] * 3, LABELS])
    Image.fromarray(hidden, "RGBA").save(tmp_path / "b.png")
    with pytest.raises(DataError, match=r"b\.png: transparency that differs within a color"):
        read_flat_labels(tmp_path / "b.png")


@pytest.mark.parametrize("name", ["a.jpg", "b.png", "c.tif", "d.bmp"])
def test_masks_compressed_with_losses_are_refused_whatever_their_name(tmp_path, name):
    path = tmp_path / name
    kind, settings = ("TIFF", {"compression": "jpeg"}) if name == "c.tif" else ("JPEG", {"quality": 95})
    Image.fromarray(np.kron(LABELS, np.ones((16, 16), np.uint8))).save(path, kind, **settings)
    with pytest.raises(DataError, match=rf"{name}: JPEG compression changes label numbers"):
        read_flat_labels(path)


def test_numbers_that_are_not_whole_are_refused(tmp_path):
    path, values = tmp_path / "a.tif", LABELS.astype(np.float32)
    cv2.imwrite(str(path), values)
    np.testing.assert_array_equal(read_flat_labels(path), LABELS)
    values[0, 0] = 0.5
    cv2.imwrite(str(path), values)
    with pytest.raises(DataError, match=r"a\.tif: labels between whole numbers \(found 0\.5, expected whole numbers"):
        read_flat_labels(path)


def white_is_zero(path: Path, image: np.ndarray) -> Path:
    Image.fromarray(image).save(path)
    content = path.read_bytes()
    tag = struct.pack("<HHIH", 262, 3, 1, 1)
    assert content.count(tag) == 1
    path.write_bytes(content.replace(tag, tag[:-2] + b"\0\0"))
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_whose_zero_is_white_is_shown_as_such_and_is_no_mask(tmp_path, dtype):
    path = white_is_zero(tmp_path / "a.tif", STORED.astype(dtype))
    np.testing.assert_array_equal(read_flat(path), np.iinfo(dtype).max - STORED.astype(dtype))
    with pytest.raises(DataError, match=r"a\.tif: its lowest value is white"):
        read_flat_labels(path)


def bombs(folder: Path):
    side = 60000
    yield write_png(folder / "a.png", side, side, 8, b"")
    Image.new("L", (8, 8)).save(folder / "b.bmp")
    content = bytearray((folder / "b.bmp").read_bytes())
    content[18:26] = struct.pack("<ii", side, side)
    (folder / "b.bmp").write_bytes(content)
    yield folder / "b.bmp"
    Image.new("L", (8, 8)).save(folder / "c.tif")
    content = bytearray((folder / "c.tif").read_bytes())
    for tag in (256, 257):
        at = next(k for k in range(len(content)) if content[k : k + 2] == struct.pack("<H", tag))
        content[at : at + 12] = struct.pack("<HHII", tag, 4, 1, side)
    (folder / "c.tif").write_bytes(content)
    yield folder / "c.tif"
    Image.new("L", (8, 8)).save(folder / "d.jpg")
    content = bytearray((folder / "d.jpg").read_bytes())
    at = content.index(b"\xff\xc0")
    content[at + 5 : at + 9] = struct.pack(">HH", side, side)
    (folder / "d.jpg").write_bytes(content)
    yield folder / "d.jpg"


def test_a_size_beyond_the_limit_is_refused_before_decoding(tmp_path):
    for path in bombs(tmp_path):
        for read in (read_flat, read_flat_labels):
            if path.suffix == ".jpg" and read is read_flat_labels:
                continue
            with pytest.raises(DataError, match=rf"{path.name}: too large to decode \(found 3\.6 GB: 60000 x 60000"):
                read(path)


def test_the_limit_is_the_settings_one_and_no_library_s(tmp_path):
    path = write_png(tmp_path / "a.png", 20000, 10000, 1, b"\0" * 2501 * 10000)  # 200 million pixels
    assert open_picture(path).rows == 10000
    with size_limit(0.1), pytest.raises(DataError, match=r"expected at most 0\.1 GB\)\. Fix: raise `max_gigabytes`"):
        open_picture(path)


def test_deep_frames_of_a_sequence_are_stretched_together(tmp_path):
    ramp = np.arange(120, dtype=np.uint16).reshape(12, 10)
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), ramp * 100 * (number + 1))
    dark, bright = read_pictures([tmp_path / "0.png", tmp_path / "1.png"]).images
    assert bright.max() == 255
    np.testing.assert_allclose(dark[3:].astype(float), bright[3:] / 2, atol=2)
    cv2.imwrite(str(tmp_path / "1.png"), ramp.astype(np.uint8))
    with pytest.raises(DataError, match=r"1\.png: uint8 values, the sequence's first image has uint16"):
        read_pictures([tmp_path / "0.png", tmp_path / "1.png"])


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_no_damage_of_a_header_makes_the_readers_crash(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(np.kron(STORED, np.ones((8, 8), np.uint8))).save(path)
    content, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(content)
        for place in rng.integers(0, min(len(content), 200), 3):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(bytes(damaged[: rng.integers(1, len(damaged) + 1)]))
        for read in (read_flat, read_flat_labels):
            with contextlib.suppress(DataError):
                read(path)
