"""Reader of single-frame pictures (PNG, JPEG, TIFF, BMP, WebP) as gray values, as colors or as label numbers."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from trainables.common.errors import DataError
from trainables.data.readers.colors import Channels, ColorCount, is_colored, luma
from trainables.data.readers.label_numbers import to_label_numbers
from trainables.data.readers.legend import RGB, Legend, hex_color
from trainables.data.readers.limits import require_size
from trainables.data.readers.native_messages import native_messages
from trainables.data.readers.picture_header import PictureFile, open_picture, unreadable

JPEG, TIFF = (".jpg", ".jpeg"), (".tif", ".tiff")
FLAT = (".png", *JPEG, *TIFF, ".bmp", ".webp")
_JPEG_DAMAGE = ("Corrupt JPEG data: premature end", "Corrupt JPEG data: bad Huffman", "Premature end of JPEG file")
_STEP = {1: 255, 2: 85, 4: 17}  # between the levels that decoders show of so few bits


def read_flat(path: Path, channels: Channels = "grey", colors: ColorCount | None = None) -> np.ndarray:
    """Return the values of a picture in the type that the file stores, upright as it is to be shown.

    Args:
        path: the picture's file.
        channels: "grey" for gray values; "rgb" for colors, of which a gray picture has three equal channels. Alpha is
            dropped.
        colors: counter of the pictures in color that are read as grey, whose gray values may then be off by one; None
            does not look at their colors, which is faster.

    Returns:
        Array `(H, W)`, or `(H, W, 3)` with red, green and blue.

    Raises:
        DataError: the file is damaged, too large, holds several pages, or values that are not finite.
    """
    file = open_picture(path)
    if channels == "rgb":
        require_size(path, (file.rows, file.columns, 3, -(-file.bits // 8)))
        values = _colors(path, file) if file.has_colors else _gray(path, file)[..., None]
        return np.broadcast_to(values, (*values.shape[:2], 3))
    if file.has_colors and (colors is not None or file.bits > 16):  # OpenCV turns no wider ones gray
        values = _colors(path, file)
        if colors is not None:
            colors.add(colored=is_colored(values))
        return luma(values).astype(values.dtype)
    return _gray(path, file)


def _colors(path: Path, file: PictureFile) -> np.ndarray:
    flag = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    return _decoded(path, file, flag)[..., ::-1]


def _gray(path: Path, file: PictureFile) -> np.ndarray:
    values = _decoded(path, file, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION)
    if file.white_is_zero and file.bits > 8:  # OpenCV inverts the others itself
        values = np.invert(values) if np.issubdtype(values.dtype, np.integer) else -values
    return values


def read_flat_labels(path: Path, legend: Legend | None = None) -> np.ndarray:
    """Return the label numbers of a mask `(H, W)`, int64, upright as it is to be shown.

    Numbers are those that the file stores. Where decoders show other ones, as of a palette or of fewer than eight bits,
    the legend decides which of the two are meant; without it the shown ones are, and the indices of a colored palette.

    Args:
        path: the mask's file.
        legend: label numbers and colors that may occur; None where they are unknown.

    Raises:
        DataError: the file is damaged or too large; its numbers are not whole, were compressed with losses, or can be
            understood in two ways; it is colored and the legend lacks a color.
    """
    file = _label_file(path)
    if file.palette:
        return _indexed(path, file, legend or Legend())
    return _numbered(path, file, _decoded(path, file, cv2.IMREAD_UNCHANGED), legend or Legend())


def read_flat_labels_or_colors(path: Path) -> np.ndarray:
    """Return the label numbers of a mask `(H, W)`, or the colors `(H, W, 3)`, uint8, of one that marks labels by them.

    Raises:
        DataError: as `read_flat_labels` without a legend, for a file that is not colored.
    """
    file = _label_file(path)
    if file.palette:
        return _indexed(path, file, Legend())
    values = _decoded(path, file, cv2.IMREAD_UNCHANGED)
    if values.ndim == 3 and values.dtype == np.uint8:
        shades: np.ndarray = values[..., 2::-1]
        if (shades != shades[..., :1]).any():
            return shades
    return _numbered(path, file, values, Legend())


def _label_file(path: Path) -> PictureFile:
    """Open a mask's file; refuse one that cannot hold label numbers."""
    file = open_picture(path)
    if file.lossy:
        expected = "PNG, TIFF, BMP or WebP without it"
        raise DataError(f"{path}: {file.lossy} compression changes label numbers (expected {expected})")
    if file.white_is_zero:
        raise DataError(f"{path}: its lowest value is white, so that background and structure may be confused")
    return file


def _numbered(path: Path, file: PictureFile, values: np.ndarray, legend: Legend) -> np.ndarray:
    """Return the label numbers of decoded pixels without a palette."""
    if values.ndim == 3:
        return _colored(path, values, legend)
    numbers = to_label_numbers(path, values)
    candidates = [numbers]
    if file.bits in _STEP:
        candidates.append(numbers // _STEP[file.bits])
    if legend.colors and numbers.max(initial=0) <= 255 and numbers.min(initial=0) >= 0:
        candidates.append(_by_color(np.repeat(numbers[..., None], 3, axis=-1), legend)[0])
    return _meant(path, candidates, legend)


def _decoded(path: Path, file: PictureFile, flag: int) -> np.ndarray:
    """Return the file's pixels, upright."""
    if file.kind == "JPEG" and not _ended(file.content):
        raise DataError(f"{path}: truncated (no end marker)")
    pages = 1
    with native_messages() as messages:
        try:
            image = cv2.imdecode(np.frombuffer(file.content, np.uint8), flag)
            pages = cv2.imcount(str(path)) if file.kind == "TIFF" else 1
        except cv2.error:
            image = None
    if image is None:
        raise DataError(f"{path}: not a readable picture")
    damage = next((line for line in messages if line.startswith(_JPEG_DAMAGE)), None) if file.kind == "JPEG" else None
    if damage is not None:
        raise DataError(f"{path}: damaged ({damage})")  # OpenCV shows what it could make of the pixels
    if pages != 1:
        raise DataError(f"{path}: too many pages (found {pages}, expected 1)")
    if not np.isfinite(image).all():
        raise DataError(f"{path}: pixel values that are not finite")
    return file.upright(image)


def _ended(jpeg: bytes) -> bool:
    """Return True where the end marker follows the last scan of a JPEG file: decoders paint a missing part gray."""
    return jpeg.rfind(b"\xff\xd9") > jpeg.rfind(b"\xff\xda")


def _indexed(path: Path, file: PictureFile, legend: Legend) -> np.ndarray:
    """Return the label numbers of a picture with a palette: its indices, its gray levels or those of its colors."""
    try:
        with native_messages(), Image.open(io.BytesIO(file.content)) as image:
            indices = np.asarray(image, np.int64)
            table = np.zeros((256, 3), np.int64)
            colors = np.array(image.getpalette("RGB") or [], np.int64).reshape(-1, 3)
            table[: len(colors)] = colors
    except Exception as error:  # Pillow raises errors of any type, depending on the byte that is damaged
        raise unreadable(path, error) from None
    indices = file.upright(indices)
    shown = table[indices]
    gray = bool((shown == shown[..., :1]).all())
    candidates = [shown[..., 0], indices] if gray else [indices]
    if legend.colors:
        candidates.append(_by_color(shown, legend)[0])
    return _meant(path, candidates, legend)


def _colored(path: Path, values: np.ndarray, legend: Legend) -> np.ndarray:
    """Return the label numbers of a picture of three or four samples in OpenCV's order."""
    shades = to_label_numbers(path, values[..., 2::-1])
    if values.shape[2] == 4 and _count(to_label_numbers(path, values)) > _count(shades):
        raise DataError(f"{path}: transparency that differs within a color (expected label numbers or colors)")
    gray = bool((shades == shades[..., :1]).all())
    if not gray and (not legend.colors or values.dtype != np.uint8):
        raise DataError(f"{path}: a color image (expected label numbers, or the colors in the legend, classes.csv)")
    mapped, unknown = _by_color(shades, legend) if legend.colors and values.dtype == np.uint8 else (None, set())
    if not gray and mapped is not None:
        if unknown:
            found, known = (", ".join(map(hex_color, sorted(some)[:4])) for some in (unknown, set(legend.colors)))
            raise DataError(f"{path}: colors that the legend lacks (found {found}, expected {known})")
        return mapped
    return _meant(path, [shades[..., 0], *([] if mapped is None else [mapped])], legend)


def _by_color(shades: np.ndarray, legend: Legend) -> tuple[np.ndarray, set[RGB]]:
    """Return the label number of each pixel `(..., 3)`, -1 where the legend lacks its color, and these colors."""
    packed = (shades[..., 0] << 16) | (shades[..., 1] << 8) | shades[..., 2]
    found, place = np.unique(packed, return_inverse=True)
    colors = {(0, 0, 0): 0} | dict(legend.colors)
    table = [((value >> 16) & 255, (value >> 8) & 255, value & 255) for value in found.tolist()]
    numbers = np.array([colors.get(color, -1) for color in table], np.int64)
    return numbers[place].reshape(packed.shape), {color for color in table if color not in colors}


def _meant(path: Path, candidates: list[np.ndarray], legend: Legend) -> np.ndarray:
    """Return the candidate whose numbers the legend knows; the first one where none is, or where there is no legend.

    Raises:
        DataError: two different candidates fit the legend.
    """
    fitting = [each for each in candidates if set(np.unique(each).tolist()) <= legend.values | {0}]
    if not fitting or not legend.values:
        return candidates[0]
    for other in fitting[1:]:
        differs = other != fitting[0]
        if differs.any():
            found = f"{fitting[0][differs][0]} or {other[differs][0]} for one pixel"
            raise DataError(f"{path}: label numbers of two meanings (found {found}, stored or shown; expected one)")
    return fitting[0]


def _count(values: np.ndarray) -> int:
    return len(np.unique(values.reshape(-1, values.shape[-1]), axis=0))
