"""Tags of TIFF files that decoders do not apply."""

from __future__ import annotations

import struct
from pathlib import Path

_PHOTOMETRIC = 262
_LENGTHS = {3: "H", 4: "I", 16: "Q"}  # types of whole numbers: SHORT, LONG, LONG8


def is_white_zero(path: Path) -> bool:
    """Return True for a TIFF file whose first page is MINISWHITE: its smallest number is white.

    A file without the tag, or one that is damaged, gives False.
    """
    try:
        with path.open("rb") as file:
            head = file.read(16)
            order = {b"II": "<", b"MM": ">"}[head[:2]]
            big = struct.unpack_from(f"{order}H", head, 2)[0] == 43  # BigTIFF
            file.seek(struct.unpack_from(f"{order}{'Q' if big else 'I'}", head, 8 if big else 4)[0])
            count = struct.unpack(f"{order}{'Q' if big else 'H'}", file.read(8 if big else 2))[0]
            size, place = (20, 12) if big else (12, 8)
            for _ in range(min(count, 4096)):
                entry = file.read(size)
                tag, kind = struct.unpack_from(f"{order}HH", entry)
                if tag == _PHOTOMETRIC:
                    return bool(struct.unpack_from(f"{order}{_LENGTHS[kind]}", entry, place)[0] == 0)
    except (OSError, KeyError, struct.error, OverflowError):
        return False
    return False
