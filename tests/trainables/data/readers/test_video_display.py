"""Videos as players show them: turned, mirrored and cut by what the container says."""

import contextlib
import struct
from pathlib import Path

import av
import numpy as np
import pytest

from trainables.common.errors import DataError
from trainables.data.readers.limits import size_limit
from trainables.data.readers.video import read_video

MATRICES = {  # x' = a x + c y, y' = b x + d y; what it makes of rows and columns
    (1, 0, 0, 1): lambda frame: frame,
    (0, 1, -1, 0): lambda frame: np.rot90(frame, -1),
    (-1, 0, 0, -1): lambda frame: np.rot90(frame, 2),
    (0, -1, 1, 0): np.rot90,
    (-1, 0, 0, 1): np.fliplr,
    (1, 0, 0, -1): np.flipud,
    (0, 1, 1, 0): lambda frame: frame.T,
}


def scene(frames: int = 12) -> np.ndarray:
    """Bright corner that grows, in frames of 48 rows and 64 columns."""
    images = np.full((frames, 48, 64), 40, np.uint8)
    for number, image in enumerate(images):
        image[:16, : 16 + 2 * number] = 200
    return images


def write(path: Path, images: np.ndarray, codec: str, pixel_format: str, **options: str) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = *images.shape[1:], pixel_format
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="gray")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def movie(tmp_path_factory) -> Path:
    """MPEG-4 in MP4 with a key frame every sixth frame."""
    path = tmp_path_factory.mktemp("video") / "a.mp4"
    return write(path, scene(), "mpeg4", "yuv420p", g="6", bf="0", qmin="1", qmax="2")


def with_matrix(path: Path, target: Path, matrix: tuple[float, ...]) -> Path:
    content = path.read_bytes()
    at = content.index(b"tkhd") + 44  # after version, times, identifier, duration, layer and volume
    a, b, c, d = (round(value * 65536) for value in matrix)
    fixed = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    assert content[at : at + 4] == struct.pack(">i", 65536)
    target.write_bytes(content[:at] + fixed + content[at + 36 :])
    return target


@pytest.mark.parametrize("matrix", MATRICES)
def test_frames_are_turned_and_mirrored_as_the_display_matrix_says(movie, tmp_path, matrix):
    upright = read_video(movie)
    np.testing.assert_allclose(upright, scene(), atol=12)
    found = read_video(with_matrix(movie, tmp_path / "b.mp4", matrix))
    np.testing.assert_array_equal(found, [MATRICES[matrix](frame) for frame in upright])


def test_a_rotation_by_another_angle_is_refused_by_name(movie, tmp_path):
    turned = with_matrix(movie, tmp_path / "b.mp4", (0.7071, 0.7071, -0.7071, 0.7071))
    with pytest.raises(DataError, match=r"b\.mp4: its frames are shown rotated \(found the matrix 0\.707"):
        read_video(turned)


def with_edit_list(path: Path, target: Path, first: int, count: int, frames: int) -> Path:
    """Show `count` frames from number `first`, as a cut without recoding does."""
    content = path.read_bytes()
    at = content.index(b"elst")
    version, _, entries, shown, start = struct.unpack(">B3sIIi", content[at + 4 : at + 20])
    assert (version, entries, start) == (0, 1, 0)
    scale = struct.unpack(">I", content[(media := content.index(b"mdhd")) + 16 : media + 20])[0]
    new = struct.pack(">Ii", shown * count // frames, first * scale // 25)
    target.write_bytes(content[: at + 12] + new + content[at + 20 :])
    return target


@pytest.mark.parametrize(("first", "count"), [(0, 12), (3, 9), (8, 4), (0, 5), (2, 4)])
def test_frames_outside_the_edit_list_are_not_shown(movie, tmp_path, first, count):
    cut = read_video(with_edit_list(movie, tmp_path / "b.mp4", first, count, 12))
    np.testing.assert_array_equal(cut, read_video(movie)[first : first + count])


@pytest.mark.parametrize("share", [0.4, 0.9])
def test_a_truncated_cut_is_still_truncated(movie, tmp_path, share):
    with av.open(str(movie)) as source, av.open(str(tmp_path / "b.mp4"), "w", options={"movflags": "faststart"}) as to:
        stream = to.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                to.mux(packet)
    content = with_edit_list(tmp_path / "b.mp4", tmp_path / "c.mp4", 3, 4, 12).read_bytes()
    assert len(read_video(tmp_path / "c.mp4")) == 4
    frames = content.index(b"mdat") + 4
    assert content.index(b"moov") < frames
    (tmp_path / "c.mp4").write_bytes(content[: frames + round(share * (len(content) - frames))])
    with pytest.raises(DataError, match=r"c\.mp4: (truncated|cannot be decoded)"):
        read_video(tmp_path / "c.mp4")


@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
def test_an_unknown_codec_is_named(tmp_path, suffix):
    path = write(tmp_path / f"a{suffix}", scene(4), "mpeg4", "yuv420p")
    code = {".avi": b"FMP4", ".mp4": b"mp4v"}[suffix]
    content = path.read_bytes()
    assert code in content
    path.write_bytes(content.replace(code, b"zz9z").replace(b"esds", b"zz9y"))  # its descriptor names the codec, too
    with pytest.raises(DataError, match=rf"a{suffix}: (unknown video codec|cannot be decoded|no video stream)"):
        read_video(path)


@pytest.mark.parametrize(
    ("suffix", "codec", "pixel_format", "off"),
    [
        (".avi", "mpeg4", "yuv420p", 12),
        (".avi", "mjpeg", "yuvj420p", 12),
        (".avi", "ffv1", "gray", 0),
        (".avi", "ffv1", "yuv420p", 2),
        (".avi", "huffyuv", "rgb24", 1),
        (".avi", "rawvideo", "bgr24", 1),
        (".avi", "rawvideo", "yuv420p", 2),
        (".avi", "png", "gray", 0),
        (".avi", "jpeg2000", "gray", 12),
        (".avi", "ljpeg", "bgr24", 2),
        (".avi", "msvideo1", "rgb555le", 12),
        (".mp4", "mpeg4", "yuv420p", 12),
    ],
)
def test_common_codecs_give_back_what_was_written(tmp_path, suffix, codec, pixel_format, off):
    path = write(tmp_path / f"a{suffix}", scene(), codec, pixel_format)
    np.testing.assert_allclose(read_video(path).astype(int), scene(), atol=max(off, 1) * 4 if off > 2 else off)


def test_a_video_beyond_the_limit_is_refused(movie):
    with size_limit(1e-5), pytest.raises(DataError, match=r"a\.mp4: too large to decode .*12 x 48 x 64"):
        read_video(movie)


@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
def test_no_damage_of_a_header_makes_the_reader_crash(tmp_path, suffix):
    path = write(tmp_path / f"a{suffix}", scene(3), "mpeg4", "yuv420p")
    content, rng = path.read_bytes(), np.random.default_rng(0)
    header = content.index(b"moov") if suffix == ".mp4" else 0
    for _ in range(80):
        damaged = bytearray(content)
        for place in rng.integers(header, min(len(content), header + 800), 3):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(bytes(damaged))
        with contextlib.suppress(DataError):
            read_video(path)
