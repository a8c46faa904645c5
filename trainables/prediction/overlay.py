"""Images with the outlines of predicted masks, as a picture or a video."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from trainables.data.readers.pictures import is_video
from trainables.prediction.containers import replacing
from trainables.prediction.decoding import DecodedImage

COLORS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (204, 121, 167), (0, 114, 178), (213, 94, 0))
"""Red, green and blue of the classes' outlines: Okabe and Ito's palette, which the color-blind can tell apart."""

_SMALLEST = 400  # pixels of the shorter side, so that outlines of small frames can be seen
_RATE = Fraction(20)  # frames a second where the image has no rate of its own


def overlay_suffix(image: DecodedImage) -> str:
    """Return the suffix of an image's overlay: a picture of a single frame, else a video."""
    return ".png" if len(image.images) == 1 else ".avi"


def write_overlay(path: Path, image: DecodedImage, masks: np.ndarray) -> None:
    """Write the frames with the outline of each class.

    Args:
        path: file to write, with the suffix of `overlay_suffix`; a video is Motion JPEG.
        image: the image.
        masks: class indices `(T, H, W)`.
    """
    frames = (outlined(frame, mask) for frame, mask in zip(image.images, masks, strict=True))
    with replacing(path) as part:
        if path.suffix == ".png":
            cv2.imwrite(str(part), next(frames)[..., ::-1])
        else:
            _write_video(part, frames, _rate(image.source.path))


def outlined(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return a frame in colour with the outline of each class, uint8 `(h, w, 3)`; small frames are enlarged.

    Args:
        frame: uint8 `(C, H, W)`; the first channel is shown unless there are three.
        mask: class indices `(H, W)`.
    """
    shown = frame.transpose(1, 2, 0) if len(frame) == 3 else np.repeat(frame[0, ..., None], 3, axis=2)
    scale = -(-_SMALLEST // min(mask.shape)) if min(mask.shape) < _SMALLEST else 1
    size = (mask.shape[1] * scale, mask.shape[0] * scale)
    drawn = np.ascontiguousarray(cv2.resize(np.ascontiguousarray(shown), size, interpolation=cv2.INTER_LINEAR))
    large = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT)
    for number in range(1, int(mask.max(initial=0)) + 1):
        contours, _ = cv2.findContours((large == number).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, contours, -1, COLORS[(number - 1) % len(COLORS)], 1 + scale // 4, cv2.LINE_AA)
    return drawn


def _rate(path: Path) -> Fraction:
    """Return the frames a second of a video, and a usual rate of another file."""
    if not is_video(path.name):
        return _RATE
    with av.open(str(path)) as container:
        return container.streams.video[0].average_rate or _RATE


def _write_video(path: Path, frames: Iterator[np.ndarray], rate: Fraction) -> None:
    with av.open(str(path), "w", format="avi") as container:
        stream: Any = container.add_stream("mjpeg", rate=rate)
        stream.pix_fmt = "yuvj420p"
        stream.codec_context.qmin = stream.codec_context.qmax = 3
        for number, frame in enumerate(frames):
            even = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
            if number == 0:
                stream.height, stream.width = even.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")))
        container.mux(stream.encode())
