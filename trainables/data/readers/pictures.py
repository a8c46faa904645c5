"""Reader of image files of any common type: pictures, volumes, arrays, DICOM and video, in gray levels or colors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainables.common.errors import DataError, did_you_mean
from trainables.data.readers.array_frames import read_array_axes, read_array_frames
from trainables.data.readers.array_path import SUFFIXES as ARRAYS
from trainables.data.readers.array_path import split_key
from trainables.data.readers.colors import Channels, ColorCount
from trainables.data.readers.dicom import read_dicom_header
from trainables.data.readers.dicom_pixels import read_dicom_frames
from trainables.data.readers.dicom_segmentation import is_segmentation, read_segmentation
from trainables.data.readers.flat_pictures import FLAT, read_flat, read_flat_labels
from trainables.data.readers.grey import to_gray
from trainables.data.readers.grid import Grid
from trainables.data.readers.label_numbers import to_label_numbers
from trainables.data.readers.legend import Legend
from trainables.data.readers.video import VIDEO, read_video
from trainables.data.readers.volume import SUFFIXES as VOLUMES
from trainables.data.readers.volume import is_metaimage, read_volume, read_volume_grid

_DICOM = (".dcm", ".dicom")


@dataclass(frozen=True)
class Picture:
    """A decoded image file.

    Attributes:
        images: uint8 `(T, H, W)`, or `(T, H, W, 3)` in color; int64 label numbers where labels were requested.
        spacing: (row, column) pixel spacing in mm, or None.
        planes: positions of the frames as in `Pixels.planes`, or None.
        slices: True where the frames are slices of a volume; else they are frames over time.
        grid: the voxels that the frames were cut from; None for a file that is no volume.
        sparse: True for a mask that leaves out the frames without labels: a DICOM segmentation.
    """

    images: np.ndarray
    spacing: tuple[float, float] | None = None
    planes: np.ndarray | None = None
    slices: bool = False
    grid: Grid | None = None
    sparse: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes (T, H, W) of the frames."""
        return self.images.shape[:3]

    @property
    def is_array(self) -> bool:
        """True for slices that do not lie in the patient: those of an array file."""
        return self.slices and self.grid is None and self.planes is None


@dataclass(frozen=True)
class _Wanted:
    """Values that a caller wants of a file: label numbers where there is a legend, which may be empty, else pixels."""

    legend: Legend | None
    slice_axis: int | None
    channels: Channels
    colors: ColorCount | None


def read_picture(
    path: Path,
    *,
    labels: bool = False,
    legend: Legend | None = None,
    slice_axis: int | None = None,
    channels: Channels = "grey",
    colors: ColorCount | None = None,
) -> Picture:
    """Decode a file by the type that its suffix names.

    Args:
        path: the image file.
        labels: return label numbers (a mask) instead of 256 gray levels.
        legend: label numbers and colors that a mask may have, which decide where a picture can be understood in two
            ways, see `read_flat_labels`; None where they are unknown.
        slice_axis: axis of a volume's slices, from 0; None to choose it by `choose_slice_axis`.
        channels: "grey" for gray levels, "rgb" to keep the colors of a file that has some.
        colors: counter of the frames in color that are read as grey; None does not look at their colors.

    Raises:
        DataError: the file is missing, damaged, too large, or of an unsupported type; a mask that holds no label
            numbers.
    """
    wanted = _Wanted((legend or Legend()) if labels else None, slice_axis, channels, colors)
    return _KINDS[_kind(path)](path, wanted)


def read_pictures(paths: Sequence[Path], channels: Channels = "grey", colors: ColorCount | None = None) -> Picture:
    """Decode files of one frame each as one sequence, whose levels are those of all frames and channels together.

    Args:
        paths: the files.
        channels: "grey" for gray levels, "rgb" for colors.
        colors: counter of the frames in color that are read as grey; None does not look at their colors.

    Raises:
        DataError: a file is missing, damaged, too large, or differs from the first one in size or type of values.
    """
    frames: list[np.ndarray] = []
    for path in paths:
        _kind(path)
        frames.append(read_flat(path, channels, colors))
        if frames[-1].shape != frames[0].shape:
            found, expected = ("x".join(map(str, each.shape[:2])) for each in (frames[-1], frames[0]))
            raise DataError(f"{path}: {found} pixels, the sequence's first image has {expected}")
        if frames[-1].dtype != frames[0].dtype:
            text = f"{frames[-1].dtype} values, the sequence's first image has {frames[0].dtype}"
            raise DataError(f"{path}: {text}. Fix: store them alike, or give each its own `sequence`")
    return Picture(to_gray(np.stack(frames)))


def _kind(path: Path) -> str:
    """Return the suffix that selects the reader of an existing file."""
    kind = file_type(str(path))
    if kind is None:
        raise DataError(f"{path}: unsupported file type{did_you_mean(path.suffix, sorted(_KINDS))}")
    if not Path(split_key(str(path))[0]).is_file():
        raise DataError(f"{path}: no such file")
    return kind


@dataclass(frozen=True)
class PictureHeader:
    """Header entries of an image file.

    Attributes:
        frames: number of frames; None where only decoding can count them (a video).
        spacing: (row, column) pixel spacing in mm, or None.
        slices: True where the frames are slices of a volume.
        slice_axis: axis of the file's array, from 0, along which the slices follow each other; None without slices.
    """

    frames: int | None = 1
    spacing: tuple[float, float] | None = None
    slices: bool = False
    slice_axis: int | None = None


def read_picture_header(path: Path, slice_axis: int | None = None, channels: Channels = "grey") -> PictureHeader:
    """Read a file's header only.

    Args:
        path: the image file.
        slice_axis: axis of a volume's slices, from 0; None to choose it by `choose_slice_axis`.
        channels: channels that the image is read with.

    Raises:
        DataError: the file is damaged.
    """
    kind = file_type(str(path))
    if kind in VOLUMES:
        grid = read_volume_grid(path, slice_axis)
        return PictureHeader(grid.slices, grid.spacing, grid.slices > 1, grid.slice_axis if grid.slices > 1 else None)
    if kind in ARRAYS:
        axes = read_array_axes(path, slice_axis, channels)
        return PictureHeader(axes.frames, None, axes.frames > 1, axes.axis if axes.frames > 1 else None)
    if kind in _DICOM:
        header = read_dicom_header(path)
        return PictureHeader(header.frames, header.spacing, header.is_volume)
    return PictureHeader(None) if kind in VIDEO else PictureHeader()


def file_type(name: str) -> str | None:
    """Return the suffix that selects a file's reader, or None for an unsupported type."""
    file = split_key(name)[0].lower()
    return next((ending for ending in _KINDS if file.endswith(ending)), None)


def is_video(name: str) -> bool:
    """Return True for a video file, which cannot hold masks."""
    return file_type(name) in VIDEO


def is_dicom(name: str) -> bool:
    """Return True for a DICOM file by its suffix."""
    return file_type(name) in _DICOM


def _flat(path: Path, wanted: _Wanted) -> Picture:
    if wanted.legend is not None:
        return Picture(read_flat_labels(path, wanted.legend)[None])
    return Picture(to_gray(read_flat(path, wanted.channels, wanted.colors))[None])


def _volume(path: Path, wanted: _Wanted) -> Picture:
    array, grid = read_volume(path, wanted.slice_axis)
    planes = None if is_metaimage(path) else grid.planes()  # ultrasound's are only nominal
    return Picture(_values(path, grid.upright(array), wanted), grid.spacing, planes, grid.slices > 1, grid)


def _array(path: Path, wanted: _Wanted) -> Picture:
    channels = wanted.channels if wanted.legend is None else None
    frames = read_array_frames(path, wanted.slice_axis, channels)
    return Picture(_values(path, frames, wanted), slices=len(frames) > 1)


def _dicom(path: Path, wanted: _Wanted) -> Picture:
    header = read_dicom_header(path)
    if len(set(header.components)) > 1:
        found = ", ".join(sorted(set(header.components)))
        raise DataError(f"{path}: frames of different parts of MR's signal (found {found}, expected one of them)")
    labels = wanted.legend is not None
    if labels and is_segmentation(path):
        images, planes = read_segmentation(path)
        return Picture(images, header.spacing, planes, header.is_volume, sparse=planes is not None)
    frames = read_dicom_frames(
        path, labels=labels, channels="grey" if labels else wanted.channels, colors=wanted.colors
    )
    planes = header.planes if len(frames) == header.frames else None
    return Picture(_values(path, frames, wanted), header.spacing, planes, header.is_volume)


def _video(path: Path, wanted: _Wanted) -> Picture:
    if wanted.legend is not None:
        raise DataError(f"{path}: a video (expected an image or a volume of label numbers)")
    return Picture(read_video(path, wanted.channels, wanted.colors))


def _values(path: Path, upright: np.ndarray, wanted: _Wanted) -> np.ndarray:
    """Return label numbers where there is a legend, else levels."""
    return to_label_numbers(path, upright) if wanted.legend is not None else to_gray(upright)


_KINDS: dict[str, Callable[[Path, _Wanted], Picture]] = {
    **dict.fromkeys(FLAT, _flat),
    **dict.fromkeys(VOLUMES, _volume),
    **dict.fromkeys(ARRAYS, _array),
    **dict.fromkeys(_DICOM, _dicom),
    **dict.fromkeys(VIDEO, _video),
}

FILE_TYPES = tuple(_KINDS)
"""Suffixes of the files that can be read."""
