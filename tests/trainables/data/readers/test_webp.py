"""WebP pictures: colors, labels without losses, orientation and the size in the header, against Pillow."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainables.common.errors import DataError
from trainables.data.readers.limits import size_limit
from trainables.data.readers.picture_header import open_picture
from trainables.data.readers.pictures import read_picture

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 14, 3)).astype(np.uint8)
LABELS = np.random.default_rng(1).integers(0, 4, (9, 14)).astype(np.uint8)


def save(path: Path, pixels: np.ndarray, **settings: object) -> Path:
    Image.fromarray(pixels).save(path, **settings)
    return path


@pytest.mark.parametrize("exif", [False, True], ids=["simple", "extended"])
@pytest.mark.parametrize("lossless", [False, True])
def test_the_header_is_pillows(tmp_path, lossless, exif):
    orientation = Image.Exif()
    orientation[274] = 6
    path = save(tmp_path / "a.webp", PIXELS, lossless=lossless, **({"exif": orientation} if exif else {}))
    file = open_picture(path)
    with Image.open(path) as image:
        assert (file.columns, file.rows) == image.size
    assert (file.lossy, file.orientation) == ("" if lossless else "lossy WebP", 6 if exif else 1)
    shown = read_picture(path, channels="rgb").images[0]
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(shown, np.rot90(expected, -1) if exif else expected)


def test_gray_levels_and_transparency(tmp_path):
    path = save(tmp_path / "a.webp", np.repeat(LABELS[..., None] * 60, 3, axis=2), lossless=True)
    np.testing.assert_array_equal(read_picture(path).images[0], LABELS * 60)
    clear = np.dstack([PIXELS, LABELS * 60])
    path = save(tmp_path / "b.webp", clear, lossless=True, exact=True)
    np.testing.assert_array_equal(read_picture(path, channels="rgb").images[0], PIXELS)


def test_masks_need_lossless_compression(tmp_path):
    gray = np.repeat(LABELS[..., None], 3, axis=2)
    path = save(tmp_path / "a.webp", gray, lossless=True)
    np.testing.assert_array_equal(read_picture(path, labels=True).images[0], LABELS)
    for name, settings in (("b.webp", {"quality": 100}), ("c.webp", {"quality": 100, "exif": Image.Exif()})):
        with pytest.raises(DataError, match=rf"{name}: lossy WebP compression changes label numbers"):
            read_picture(save(tmp_path / name, gray, **settings), labels=True)


def test_animations_truncated_files_and_huge_canvases_are_refused(tmp_path):
    frames = [Image.fromarray(PIXELS), Image.fromarray(PIXELS[::-1].copy())]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=r"a\.webp: an animation \(expected one picture\)"):
        read_picture(tmp_path / "a.webp")
    content = save(tmp_path / "b.webp", PIXELS).read_bytes()
    for cut in (5, 12, 19, 25, len(content) - 3):
        (tmp_path / "b.webp").write_bytes(content[:cut])
        with pytest.raises(DataError, match=r"b\.webp: not a readable picture"):
            read_picture(tmp_path / "b.webp")
    path = save(tmp_path / "c.webp", PIXELS, lossless=True)
    with size_limit(9 * 14 * 3 * 0.9e-9), pytest.raises(DataError, match=r"c\.webp: too large to decode .*9 x 14 x 3"):
        read_picture(path)
