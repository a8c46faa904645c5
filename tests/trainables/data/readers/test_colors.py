"""Colors of every file type against Pillow, pydicom and closed forms."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread, examples

from trainables.common.errors import DataError
from trainables.data.readers.colors import ColorCount, channels_first, is_colored
from trainables.data.readers.grey import percentile_window
from trainables.data.readers.limits import size_limit
from trainables.data.readers.pictures import read_picture, read_pictures

COLORED = np.random.default_rng(0).integers(0, 256, (12, 10, 3)).astype(np.uint8)
SMOOTH = cv2.resize(COLORED[:3, :3], (40, 48), interpolation=cv2.INTER_LINEAR)


def rgb(path: Path) -> np.ndarray:
    return read_picture(path, channels="rgb").images


def count(path: Path) -> int:
    colors = ColorCount()
    read_picture(path, colors=colors)
    return colors.images


def movie(path: Path, images: list[np.ndarray]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg" if path.suffix == ".avi" else "mpeg4", rate=30, options={"qscale": "2"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if path.suffix == ".avi" else "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24").reformat(format=stream.pix_fmt)))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
def test_pictures_keep_their_colors_and_lose_their_alpha(tmp_path, suffix, mode):
    image = Image.fromarray(COLORED).quantize(16) if mode == "P" else Image.fromarray(COLORED).convert(mode)
    path = tmp_path / f"a{suffix}"
    image.save(path)
    np.testing.assert_array_equal(rgb(path), np.asarray(image.convert("RGB"))[None])
    grey = np.asarray(image.convert("L"), int)
    np.testing.assert_allclose(read_picture(path).images[0], grey, atol=1)
    assert count(path) == (mode != "L")


def test_transparent_pixels_keep_their_colors(tmp_path):
    pixels = np.dstack([COLORED, np.arange(120, dtype=np.uint8).reshape(12, 10)])
    Image.fromarray(pixels, "RGBA").save(tmp_path / "a.png")
    np.testing.assert_array_equal(rgb(tmp_path / "a.png")[0], COLORED)


def test_lossy_pictures_are_pillows(tmp_path):
    Image.fromarray(SMOOTH).save(tmp_path / "a.jpg", quality=95, subsampling=0)
    with Image.open(tmp_path / "a.jpg") as image:
        np.testing.assert_allclose(rgb(tmp_path / "a.jpg")[0].astype(int), np.asarray(image, int), atol=2)
    assert count(tmp_path / "a.jpg") == 1


def test_colors_are_shown_upright(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(COLORED).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(rgb(tmp_path / "a.png")[0], np.rot90(COLORED, -1))


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_deep_colors_share_one_stretch(tmp_path, name, dtype):
    if name == "a.png" and dtype == np.float32:
        dtype = np.uint16
    deep = (np.arange(360).reshape(12, 10, 3) * 7 + [0, 500, 2000]).astype(dtype)
    cv2.imwrite(str(tmp_path / name), deep[..., ::-1])
    np.testing.assert_array_equal(rgb(tmp_path / name)[0], percentile_window(deep))
    gray = (deep.astype(float) @ [0.299, 0.587, 0.114]).astype(dtype)
    np.testing.assert_allclose(read_picture(tmp_path / name).images[0], percentile_window(gray).astype(int), atol=1)
    assert count(tmp_path / name) == 1


def test_a_sequence_of_gray_and_colored_pictures_is_in_color(tmp_path):
    gray = COLORED[..., 0]
    Image.fromarray(gray).save(tmp_path / "0.png")
    Image.fromarray(COLORED).save(tmp_path / "1.png")
    paths = [tmp_path / "0.png", tmp_path / "1.png"]
    found = read_pictures(paths, "rgb").images
    np.testing.assert_array_equal(found, [np.repeat(gray[..., None], 3, axis=2), COLORED])
    colors = ColorCount()
    assert read_pictures(paths, "grey", colors).images.shape == (2, 12, 10)
    assert colors.images == 1


@pytest.mark.parametrize("name", ["a.avi", "a.mp4"])
def test_videos_keep_their_colors(tmp_path, name):
    patches = np.kron(
        np.array([[[200, 30, 30], [30, 180, 60]], [[40, 60, 190], [120, 120, 120]]]), np.ones((32, 32, 1))
    )
    gray = np.repeat(patches.mean(2, keepdims=True), 3, axis=2)
    frames = [each.astype(np.uint8) for each in (patches, gray, patches[::-1])]
    path = movie(tmp_path / name, frames)
    found = rgb(path).astype(int)
    assert found.shape == (3, 64, 64, 3)
    inner = np.array([8, 24, 40, 56])
    np.testing.assert_allclose(found[:, inner][:, :, inner], np.stack(frames)[:, inner][:, :, inner], atol=8)
    assert count(path) == 2
    assert count(movie(tmp_path / f"gray{path.suffix}", [frames[1]] * 3)) == 0
    with size_limit(3 * 64 * 64 * 2e-9):
        assert read_picture(path).images.shape == (3, 64, 64)
        with pytest.raises(DataError, match="too large to decode"):
            rgb(path)


def test_colored_dicom_is_pydicoms(tmp_path):
    path = Path(examples.get_path("rgb_color"))
    expected = dcmread(path).pixel_array
    np.testing.assert_array_equal(rgb(path)[0], expected)
    assert count(path) == 1
    palette = Path(examples.get_path("palette_color"))
    assert rgb(palette).shape[-1] == 3
    assert count(palette) == 1


def test_only_visible_colors_count():
    gray = np.repeat(COLORED[..., :1], 3, axis=2)
    assert not is_colored(gray)
    tinted = np.clip(gray, 0, 250) + np.array([3, 0, 0], np.uint8)
    assert not is_colored(tinted)
    tinted[4, 5, 0] += 2
    assert is_colored(tinted)
    deep = gray.astype(np.uint16) * 16
    assert not is_colored(deep)
    deep[0, 0] = (0, 100, 0)
    assert is_colored(deep)


def test_gray_frames_have_three_equal_channels_in_color():
    frames = COLORED[None, ..., 0]
    np.testing.assert_array_equal(channels_first(frames, "grey"), frames[:, None])
    np.testing.assert_array_equal(channels_first(frames, "rgb"), np.stack([frames] * 3, axis=1))
    np.testing.assert_array_equal(channels_first(COLORED[None], "rgb")[0, 2], COLORED[..., 2])
