"""Header of a WebP picture, read without decoding the pixels."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_FIRST = 12  # bytes of "RIFF", the size and "WEBP"
_ANIMATED = 0x02
_START = b"\x9d\x01\x2a"  # of the header of a lossy frame
_LOSSLESS = 0x2F


@dataclass(frozen=True)
class WebpHeader:
    """Header entries of a WebP file.

    Attributes:
        rows: number of rows as stored.
        columns: number of columns as stored.
        lossy: True where the compression changes values.
        animated: True for several frames.
        exif: content of the EXIF chunk, b"" without one.
    """

    rows: int
    columns: int
    lossy: bool
    animated: bool
    exif: bytes


def is_webp(content: bytes) -> bool:
    """Return True for the content of a WebP file."""
    return content[:4] == b"RIFF" and content[8:_FIRST] == b"WEBP"


def read_webp_header(content: bytes) -> WebpHeader:
    """Return the header of a WebP file; the size of an extended file is that of its canvas.

    Raises:
        ValueError: the file is cut short, or has no picture.
    """
    end = struct.unpack_from("<I", content, 4)[0] + 8
    if end > len(content):
        raise ValueError(f"truncated: found {len(content)} bytes, expected {end}")
    chunks: dict[bytes, bytes] = {}
    place = _FIRST
    while place + 8 <= end:
        name, size = content[place : place + 4], struct.unpack_from("<I", content, place + 4)[0]
        chunks.setdefault(name, content[place + 8 : min(place + 8 + size, end)])
        place += 8 + size + size % 2
    rows, columns = _size(chunks)
    extended = chunks.get(b"VP8X", b"\0")
    return WebpHeader(rows, columns, b"VP8 " in chunks, bool(extended[0] & _ANIMATED), chunks.get(b"EXIF", b""))


def _size(chunks: dict[bytes, bytes]) -> tuple[int, int]:
    if (extended := chunks.get(b"VP8X")) is not None:
        columns, rows = (int.from_bytes(extended[at : at + 3], "little") + 1 for at in (4, 7))
    elif (lossless := chunks.get(b"VP8L")) is not None and lossless[0] == _LOSSLESS:
        bits = int.from_bytes(lossless[1:5], "little")
        columns, rows = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif (lossy := chunks.get(b"VP8 ")) is not None and lossy[3:6] == _START:
        columns, rows = (side & 0x3FFF for side in struct.unpack_from("<HH", lossy, 6))
    else:
        raise ValueError("no picture in the file")
    return rows, columns
