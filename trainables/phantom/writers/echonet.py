"""The phantom on disk as EchoNet-Dynamic is published."""

from __future__ import annotations

import csv
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np

from trainables.data.layouts.echonet import FILE_LIST, FILE_LIST_COLUMNS, TRACED_ROWS, TRACINGS, TRACINGS_COLUMNS
from trainables.data.records import Progress
from trainables.data.sampling.splits import split_subjects
from trainables.phantom.imaging.cine import Cine, draw_cine, subject_name
from trainables.phantom.settings import PhantomSettings

FRAME_RATE = 50
_INSET = 0.3  # pixels
_QUALITY = "2"  # of the encoder, best of 2..31


def write_echonet(root: Path, settings: PhantomSettings, progress: Progress | None = None) -> None:
    """Write `FileList.csv`, `VolumeTracings.csv` and `Videos/*.avi` below `root`."""
    names = [subject_name(settings, number) for number in range(settings.subjects)]
    splits = split_subjects(names, settings.fractions, settings.seed)
    (root / "Videos").mkdir(parents=True, exist_ok=True)
    with (root / FILE_LIST).open("w", newline="") as listed, (root / TRACINGS).open("w", newline="") as traced:
        file_list, tracings = csv.writer(listed), csv.writer(traced)
        file_list.writerow(FILE_LIST_COLUMNS)
        tracings.writerow(TRACINGS_COLUMNS)
        for done, name in enumerate(names, 1):
            cine = draw_cine(settings, name)
            write_avi(root / "Videos" / f"{name}.avi", cine.images)
            diastolic, systolic = cine.volumes
            numbers = [f"{value:.4f}" for value in (cine.ejection_fraction, systolic, diastolic)]
            shape = (settings.size, settings.size, FRAME_RATE, settings.frames)
            file_list.writerow([name, *numbers, *shape, splits[name].upper()])
            for frame in sorted((cine.end_diastole, cine.end_systole)):
                for ends in trace(cine, frame):
                    tracings.writerow([f"{name}.avi", *(f"{value:.4f}" for value in ends), frame])
            if progress is not None:
                progress("generating phantom", done, settings.subjects)


def trace(cine: Cine, frame: int) -> np.ndarray:
    """Return a frame's tracing `(21, 4)` in pixels: the long axis, then 20 chords from apex to mitral valve.

    Published masks round the outline to whole pixels and count those under it as inside, so it runs `_INSET` within the
    border: masks then have the size of what was traced.
    """
    heart, size = cine.heart, cine.images.shape[-1]
    inset = _INSET / size / heart.lengths()[frame]
    s = np.linspace(inset, 1 - inset, TRACED_ROWS - 1)
    left, right = heart.chords(s, frame)
    width = np.linalg.norm(right - left, axis=1, keepdims=True)
    step = (right - left) * np.minimum(_INSET / size / width, 0.45)
    ends = np.array([0.0, 1.0])
    axis = heart.place(heart.middle(ends), ends * heart.lengths()[frame], frame)
    rows = np.concatenate([axis.reshape(1, 4), np.concatenate([left + step, right - step], axis=1)])
    return np.asarray(rows * size - 0.5)


def write_avi(path: Path, images: np.ndarray) -> None:
    """Write uint8 `(T, H, W)` as a Motion JPEG video."""
    write_video(path, images, "mjpeg", "yuvj420p")


def write_video(path: Path, images: np.ndarray, codec: Literal["mjpeg", "mpeg4"], pixels: str) -> None:
    """Write uint8 `(T, H, W)` with a codec and pixel format of FFmpeg's, in the container that the suffix names."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(FRAME_RATE))
        stream.height, stream.width = images.shape[1:]
        stream.pix_fmt = pixels
        stream.options = {"qmin": _QUALITY, "qmax": _QUALITY}
        for image in images:
            frame = av.VideoFrame.from_ndarray(image, format="gray")
            for packet in stream.encode(frame.reformat(format=pixels)):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
