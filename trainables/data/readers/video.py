"""Reader of videos as frames of gray levels or colors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type as SideData

from trainables.common.errors import DataError
from trainables.data.readers.colors import Channels, ColorCount, is_colored
from trainables.data.readers.limits import require_size

VIDEO = (".avi", ".mp4")
"""Suffixes of video files."""

_FULL_RANGE = 2  # AVCOL_RANGE_JPEG: luma uses all of 0..255
_YUV = ("yuv420p", "yuv422p", "yuv444p")
_NEUTRAL, _TINT = 128, 2  # chroma of gray; the difference from it that `is_colored` sees as color
_EDITABLE = "mp4"  # family of containers that have edit lists
_ONE = 1 << 16  # of the fixed-point numbers in a display matrix


def read_video(path: Path, channels: Channels = "grey", colors: ColorCount | None = None) -> np.ndarray:
    """Return the frames of a video that a player shows, turned as it shows them.

    Frames outside the file's edit list are left out. Where the codec stores full-range luma (as MJPG does) that plane
    is used unchanged: about twice as fast as converting to color and back, and within two gray levels of it.

    Args:
        path: the video's file.
        channels: "grey" for gray levels, "rgb" for colors.
        colors: counter of the frames in color that are read as grey; None does not look at their colors.

    Returns:
        uint8 `(T, H, W)`, or `(T, H, W, 3)` with red, green and blue.

    Raises:
        DataError: the file is missing, is not a video, is of an unknown codec, is larger than the limit of decoded
            files, or holds fewer frames than its header says. Decoders end such a truncated file without an error.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such video file")
    frames: list[np.ndarray] = []
    expected = shown = 0
    samples = (3,) if channels == "rgb" else ()
    try:
        with av.open(str(path)) as container:
            stream = _stream(path, container)
            expected = stream.frames
            most = max(expected, 3)  # decoders allocate the three colors of a frame at once
            require_size(path, (most, stream.codec_context.height, stream.codec_context.width, *samples))
            for packet in container.demux(stream):
                shown += packet.size > 0 and not packet.is_discard  # a discarded one is decoded for those after it
                if packet.is_corrupt:  # a decoder would fill in the missing part
                    raise DataError(f"{path}: truncated within frame {len(frames)} of {expected}")
                for frame in packet.decode():
                    require_size(path, (max(len(frames) + 1, expected), frame.height, frame.width, *samples))
                    if colors is not None:
                        colors.add(colored=_is_colored(frame))
                    image = frame.to_ndarray(format="rgb24") if channels == "rgb" else _luma(frame)
                    frames.append(_turned(path, frame, image))
            if shown < expected and _EDITABLE in container.format.name and _is_complete(path, expected):
                expected = shown  # the others lie outside the edit list
    except (av.FFmpegError, OSError, ValueError, RuntimeError) as error:
        place = f"after frame {len(frames)} of {expected}" if frames else "as a video"
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be decoded {place} ({reason})") from None
    if not frames or len(frames) < expected:
        raise DataError(f"{path}: truncated (found {len(frames)} frames, expected {expected} as in its header)")
    if len({frame.shape for frame in frames}) > 1:
        raise DataError(f"{path}: frame size changes within the video")
    return np.stack(frames)


def _stream(path: Path, container: Any) -> Any:
    """Return the first video stream.

    Raises:
        DataError: there is no video stream, or no decoder for it.
    """
    streams = container.streams.video
    if not streams:
        raise DataError(f"{path}: no video stream in the file")
    stream = streams[0]
    if stream.codec_context is None:
        raise DataError(f"{path}: unknown video codec (no decoder for its first video stream)")
    stream.codec_context.thread_count = 1  # frames are small: threads cost more than they save
    return stream


def _is_complete(path: Path, frames: int) -> bool:
    """Return True where a file holds as many frames as its header says, in its edit list or not."""
    with av.open(str(path), options={"ignore_editlist": "1"}) as container:
        packets = [packet for packet in container.demux(container.streams.video[0]) if packet.size > 0]
    return len(packets) >= frames and not any(packet.is_corrupt for packet in packets)


def _turned(path: Path, frame: av.VideoFrame, image: np.ndarray) -> np.ndarray:
    """Return a frame's pixels `(H, W, ...)`, turned and mirrored as its display matrix says.

    Raises:
        DataError: the matrix turns it by other than a multiple of 90 degrees.
    """
    sides: Mapping[Any, Any] = frame.side_data
    side = sides.get(SideData.DISPLAYMATRIX)
    if side is None:
        return image
    a, b, _, c, d, *_ = np.frombuffer(bytes(side), np.int32)[:9].tolist()  # x' = a x + c y, y' = b x + d y
    if b == c == 0 and abs(a) == abs(d) == _ONE:
        rows, columns = d, a
    elif a == d == 0 and abs(b) == abs(c) == _ONE:
        image, rows, columns = image.swapaxes(0, 1), b, c
    else:
        found = ", ".join(f"{value / _ONE:g}" for value in (a, b, c, d))
        raise DataError(f"{path}: its frames are shown rotated (found the matrix {found}, expected multiples of 90°)")
    return np.ascontiguousarray(image[:: -1 if rows < 0 else 1, :: -1 if columns < 0 else 1])


def _luma(frame: av.VideoFrame) -> np.ndarray:
    name = frame.format.name
    if name.startswith("yuvj") or (name in _YUV and frame.color_range == _FULL_RANGE):
        return np.array(_plane(frame, 0))
    return frame.to_ndarray(format="gray")


def _is_colored(frame: av.VideoFrame) -> bool:
    """Return True for a frame in color, of usual formats by their chroma: a conversion would start threads."""
    if frame.format.name.replace("yuvj", "yuv") not in _YUV:
        return is_colored(frame.to_ndarray(format="rgb24"))
    chroma = (_plane(frame, number).astype(np.int16) - _NEUTRAL for number in (1, 2))
    return any(bool((np.abs(each) >= _TINT).any()) for each in chroma)


def _plane(frame: av.VideoFrame, number: int) -> np.ndarray:
    """Return the values of one plane of a frame of 8 bits, without copying them."""
    plane = frame.planes[number]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]
