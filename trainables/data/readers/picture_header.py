"""Headers of single-frame pictures (PNG, JPEG, TIFF, BMP, WebP), read without decoding the pixels."""

from __future__ import annotations

import io
import re
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import BmpImagePlugin, Image, JpegImagePlugin, PngImagePlugin

from trainables.common.errors import DataError
from trainables.data.readers.limits import require_size
from trainables.data.readers.webp_header import is_webp, read_webp_header

_PNG, _JPEG, _BMP = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_OBJECT = re.compile(r" <_io\.BytesIO[^>]*>")  # in Pillow's messages, with an address that differs in every run
_ORIENTATION = 0x0112
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES = 256, 257, 258, 259, 262, 277
_LOSSY_TIFF = {6: "JPEG", 7: "JPEG", 34892: "JPEG", 50001: "WebP", 50002: "JPEG XL"}
_WHITE_IS_ZERO, _PALETTE = 0, 3
_SHOWN_AS = {2: (1, -1), 3: (-1, -1), 4: (-1, 1)}  # steps along (rows, columns)
_TURNED = {5: (1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}  # steps along (rows, columns) of the transposed picture


@dataclass(frozen=True)
class PictureFile:
    """A picture's file with what its header says.

    Attributes:
        content: the file's bytes; of a TIFF file, with the orientation removed, as decoders honor only some of them.
        rows: number of rows as stored.
        columns: number of columns as stored.
        bits: bits of a sample.
        samples: number of samples of a pixel.
        kind: format as its bytes say, "PNG", "JPEG", "TIFF", "BMP", "WebP" or another one.
        palette: True where the pixels are indices into a table of colors.
        lossy: name of the compression that changes values; "" for none.
        white_is_zero: True for a TIFF file whose lowest value is white.
        orientation: EXIF orientation of the stored pixels, 1 to 8; 1 is upright.
    """

    content: bytes
    rows: int
    columns: int
    bits: int
    samples: int
    kind: str
    palette: bool = False
    lossy: str = ""
    white_is_zero: bool = False
    orientation: int = 1

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the picture as it is shown."""
        return (self.columns, self.rows) if self.orientation in _TURNED else (self.rows, self.columns)

    @property
    def has_colors(self) -> bool:
        """True where pixels can differ in color."""
        return self.palette or self.samples >= 3

    def upright(self, image: np.ndarray) -> np.ndarray:
        """Return the stored pixels `(rows, columns, ...)` as the orientation says that they are shown."""
        if self.orientation in _TURNED:
            image, (down, right) = image.swapaxes(0, 1), _TURNED[self.orientation]
        else:
            down, right = _SHOWN_AS.get(self.orientation, (1, 1))
        return np.ascontiguousarray(image[::down, ::right])


def open_picture(path: Path) -> PictureFile:
    """Read a picture's file and its header.

    Raises:
        DataError: the file is no picture, or would be larger than the limit of decoded files.
    """
    try:
        content = path.read_bytes()
        if not content:
            raise DataError(f"{path}: an empty file, expected a picture")
        if is_webp(content):
            found = _webp(path, content)
        else:
            found = _tiff(content) if content.startswith(_TIFF) else _other(path, content)
    except DataError:
        raise
    except Exception as error:  # Pillow's plug-ins raise errors of any type, depending on the byte that is damaged
        raise unreadable(path, error) from None
    require_size(path, (found.rows, found.columns, found.samples, -(-found.bits // 8)))
    return found


def unreadable(path: Path, error: Exception) -> DataError:
    """Return the error of a picture on which Pillow failed with `error`."""
    reason = " ".join(_OBJECT.sub("", str(error)).split())[:120]
    return DataError(f"{path}: not a readable picture ({reason})")


def _other(path: Path, content: bytes) -> PictureFile:
    image = _opened(content)
    if content.startswith(_PNG):
        bits, color = content[24], content[25]
        samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    else:
        bits, samples = 1 if image.mode == "1" else 8, len(image.getbands())
    if content.startswith(_PNG) and b"eXIf" in content and "exif" not in image.info:
        require_size(path, (image.height, image.width, samples))
        image.load()  # the orientation stands behind the pixels
    kind = image.format or "picture"
    return PictureFile(
        content,
        image.height,
        image.width,
        bits,
        samples,
        kind,
        palette=image.mode == "P",
        lossy=kind if kind in ("JPEG", "JPEG2000", "AVIF") else "",
        orientation=_exif_orientation(image.info.get("exif") or b""),
    )


def _webp(path: Path, content: bytes) -> PictureFile:
    header = read_webp_header(content)
    if header.animated:
        raise DataError(f"{path}: an animation (expected one picture)")
    orientation = _exif_orientation(header.exif)
    lossy = "lossy WebP" if header.lossy else ""
    return PictureFile(content, header.rows, header.columns, 8, 3, "WebP", lossy=lossy, orientation=orientation)


def _exif_orientation(content: bytes) -> int:
    exif = Image.Exif()
    exif.load(content)
    return _valid(exif.get(_ORIENTATION, 1))


def _opened(content: bytes) -> Any:
    """Open a picture without decoding it; the plug-ins themselves have no limit on the size that a header may name."""
    plugins: dict[bytes, Any] = {
        _PNG: PngImagePlugin.PngImageFile,
        _JPEG: JpegImagePlugin.JpegImageFile,
        _BMP: BmpImagePlugin.BmpImageFile,
    }
    for start, plugin in plugins.items():
        if content.startswith(start):
            return plugin(io.BytesIO(content))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # require_size decides
        return Image.open(io.BytesIO(content))


def _tiff(content: bytes) -> PictureFile:
    order, tags = _tiff_tags(content)
    value = {tag: number for tag, (number, _) in tags.items()}
    orientation = _valid(value.get(_ORIENTATION, 1))
    if orientation != 1:
        place = tags[_ORIENTATION][1]
        content = content[:place] + struct.pack(f"{order}H", 1) + content[place + 2 :]
    bits = value.get(_BITS, 1)
    return PictureFile(
        content,
        value[_HEIGHT],
        value[_WIDTH],
        bits,
        value.get(_SAMPLES, 1),
        "TIFF",
        palette=value.get(_PHOTOMETRIC) == _PALETTE,
        lossy=_LOSSY_TIFF.get(value.get(_COMPRESSION, 1), ""),
        white_is_zero=value.get(_PHOTOMETRIC) == _WHITE_IS_ZERO,
        orientation=orientation,
    )


def _tiff_tags(content: bytes) -> tuple[str, dict[int, tuple[int, int]]]:
    """Return the byte order and, by tag, the first whole number and its place in the file, of the first image."""
    order = "<" if content[:2] == b"II" else ">"
    big = struct.unpack_from(f"{order}H", content, 2)[0] == 43
    first, count_as, entry, inline = (8, "Q", 20, 8) if big else (4, "H", 12, 4)
    (start,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", content, first)
    (count,) = struct.unpack_from(f"{order}{count_as}", content, start)
    tags: dict[int, tuple[int, int]] = {}
    for number in range(count):
        place = start + struct.calcsize(f"={count_as}") + number * entry
        tag, kind = struct.unpack_from(f"{order}HH", content, place)
        (length,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", content, place + 4)
        code, size = {1: ("B", 1), 3: ("H", 2), 4: ("I", 4), 16: ("Q", 8)}.get(kind, ("", 0))
        if not code:
            continue
        at = place + entry - inline
        if length * size > inline:
            (at,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", content, at)
        tags[tag] = (struct.unpack_from(f"{order}{code}", content, at)[0], at)
    return order, tags


def _valid(orientation: Any) -> int:
    return orientation if orientation in range(1, 9) else 1
