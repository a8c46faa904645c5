import cv2
import numpy as np
import pytest

from trainables.common.errors import DataError
from trainables.data.readers.video import read_video
from trainables.phantom.writers.echonet import write_avi


def smooth_video(frames: int = 12, height: int = 96, width: int = 80) -> np.ndarray:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (frames, 6, 5)).astype(np.uint8)
    return np.stack([cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC) for image in coarse])


def test_luma_plane_agrees_with_opencv_and_the_written_frames(tmp_path):
    images = smooth_video()
    write_avi(tmp_path / "a.avi", images)
    read = read_video(tmp_path / "a.avi")
    capture = cv2.VideoCapture(str(tmp_path / "a.avi"))
    peer = [cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2GRAY) for _ in range(len(images))]
    assert read.shape == images.shape
    assert np.abs(read.astype(int) - np.stack(peer)).max() <= 2
    assert np.abs(read.astype(int) - images).mean() < 1.5


def test_limited_range_codecs_are_stretched_to_the_full_grey_range(tmp_path):
    images = np.stack([np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))] * 5)
    writer = cv2.VideoWriter(str(tmp_path / "b.avi"), cv2.VideoWriter.fourcc(*"XVID"), 20, (64, 64))
    for image in images:
        writer.write(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
    writer.release()
    read = read_video(tmp_path / "b.avi")
    assert read.min() < 8
    assert read.max() > 247


def test_a_truncated_file_is_refused_although_decoders_end_it_silently(tmp_path):
    write_avi(tmp_path / "a.avi", smooth_video(40))
    data = (tmp_path / "a.avi").read_bytes()
    (tmp_path / "half.avi").write_bytes(data[: data.index(b"00dc", len(data) // 2)])
    with pytest.raises(DataError, match=r"half\.avi: truncated \(found \d+ frames, expected 40 as in its header\)"):
        read_video(tmp_path / "half.avi")


def test_a_file_cut_within_a_frame_says_how_far_it_could_be_read(tmp_path):
    write_avi(tmp_path / "a.avi", smooth_video(40))
    data = (tmp_path / "a.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(data[: data.index(b"00dc", len(data) // 2) + 200])
    with pytest.raises(DataError, match=r"cut\.avi: (cannot be decoded after frame|truncated)"):
        read_video(tmp_path / "cut.avi")


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_a_file_cut_within_its_last_frame_is_refused_although_all_frames_come_out(tmp_path, share):
    write_avi(tmp_path / "a.avi", smooth_video(5))
    data = (tmp_path / "a.avi").read_bytes()
    last, index = data.rindex(b"00dc", 0, data.rindex(b"idx1")), data.rindex(b"idx1")
    (tmp_path / "cut.avi").write_bytes(data[: last + round(share * (index - last))])
    with pytest.raises(DataError, match=r"cut\.avi: truncated within frame 4 of 5"):
        read_video(tmp_path / "cut.avi")


def test_missing_and_foreign_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.avi: no such video"):
        read_video(tmp_path / "none.avi")
    (tmp_path / "text.avi").write_text("not a video")
    with pytest.raises(DataError, match=r"text\.avi: cannot be decoded as a video"):
        read_video(tmp_path / "text.avi")
