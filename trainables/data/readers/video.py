"""Reader of videos as grey frames."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from trainables.common.errors import DataError
from trainables.data.readers.limits import require_size

_FULL_RANGE = 2  # AVCOL_RANGE_JPEG: luma uses all of 0..255


def read_video(path: Path) -> np.ndarray:
    """Return all frames of a video as uint8 `(T, H, W)`.

    Where the codec stores full-range luma (as MJPG does) that plane is used unchanged: about twice as fast as
    converting to colour and back, and within two grey levels of it.

    Raises:
        DataError: the file is missing, is not a video, or holds fewer frames than its header says. Decoders end such
            a truncated file without an error.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such video file")
    frames: list[np.ndarray] = []
    expected = 0
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError(f"{path}: no video stream in the file")
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1  # frames are small: threads cost more than they save
            expected = stream.frames
            require_size(path, (stream.height, stream.width, 3))  # of one frame: decoders allocate it at once
            for packet in container.demux(stream):
                if packet.is_corrupt:  # a decoder would fill in the missing part
                    raise DataError(f"{path}: truncated within frame {len(frames)} of {expected}")
                for frame in packet.decode():
                    require_size(path, (max(len(frames) + 1, expected), frame.height, frame.width))
                    frames.append(_luma(frame))
    except (av.FFmpegError, OSError) as error:
        place = f"after frame {len(frames)} of {expected}" if frames else "as a video"
        raise DataError(f"{path}: cannot be decoded {place} ({error.strerror or error})") from None
    if not frames or len(frames) < expected:
        raise DataError(f"{path}: truncated (found {len(frames)} frames, expected {expected} as in its header)")
    if len({frame.shape for frame in frames}) > 1:
        raise DataError(f"{path}: frame size changes within the video")
    return np.stack(frames)


def _luma(frame: av.VideoFrame) -> np.ndarray:
    name = frame.format.name
    if name.startswith("yuvj") or (name in {"yuv420p", "yuv422p", "yuv444p"} and frame.color_range == _FULL_RANGE):
        plane = frame.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        return np.array(rows[: frame.height, : frame.width])
    return frame.to_ndarray(format="gray")
