"""The ledger: an append-only file of a study's events, from which its state is rebuilt.

The first line holds the format's version, every other line one event as JSON; each begins with the CRC-32 of its JSON
text. A line is flushed to disk before the driver acts on it. An incomplete last line (the driver was killed while it
wrote) is removed when the ledger is opened again; damage anywhere else is an error.
"""

from __future__ import annotations

import json
import os
import shlex
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from study.storage.events import E, Event, UnsafeName, from_record, to_record
from trainables.common.errors import UserError

FORMAT_VERSION = 2
"""Version of the lines' format; a ledger of another version is refused."""

FIX_VERSION = "Fix: use that version, or run the study again under another name: study run STUDY --name NAME"


class Ledger:
    """The open ledger of one study; only the driver that holds the study's lock may open it for writing.

    Args:
        path: File of the ledger, created if it is missing.
        clock: Returns seconds since the Unix epoch.

    Attributes:
        events: All events of the study so far, in order.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._clock = clock
        self.events, complete = _read(path)
        self._file: IO[bytes] = path.open("ab")
        if self._file.tell() > complete:
            self._file.truncate(complete)
        if complete == 0:
            self._write({"format": FORMAT_VERSION})

    def append(self, event: E) -> E:
        """Write an event to disk and return it with its time."""
        event = replace(event, time=round(self._clock(), 3))
        self._write(to_record(event))
        self.events.append(event)
        return event

    def close(self) -> None:
        """Close the ledger's file."""
        self._file.close()

    def _write(self, record: Mapping[str, Any]) -> None:
        self._file.write(_encode_line(record))
        self._file.flush()
        os.fsync(self._file.fileno())


def read_ledger(path: Path) -> list[Event]:
    """Return the events of a ledger that may be in use, without an incomplete last line.

    Raises:
        UserError: A line is damaged, or another version of the software wrote the file.
    """
    return _read(path)[0]


def _read(path: Path) -> tuple[list[Event], int]:
    """Return the events, and the length in bytes of the complete lines."""
    if not path.exists():
        return [], 0
    events: list[Event] = []
    complete = 0
    lines = path.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        record = _decode_line(line)
        if record is None:
            if number < len(lines):
                raise UserError(
                    f"{path}:{number}: damaged line (found another checksum than the line's). {_go_back(path, number)}"
                )
            break
        if number == 1:
            _check_version(path, record)
        else:
            try:
                events.append(from_record(record))
            except UnsafeName as error:
                raise UserError(f"{path}:{number}: {error}. {_go_back(path, number)}") from error
            except ValueError as error:
                problem = f"written by another version of study ({error})"
                raise UserError(f"{path}:{number}: {problem}. {FIX_VERSION}") from error
        complete += len(line)
    return events, complete


def _go_back(path: Path, number: int) -> str:
    """Return how to go on where line `number` cannot be read: the lines before it are an earlier state of the study."""
    command = f"sed -i.damaged '{number},$d' {shlex.quote(str(path))}"
    return (
        "Fix: restore the file from a backup; or go back to the events before that line, and run the study again, "
        f"which repeats what came after them: {command}"
    )


def _check_version(path: Path, first: Mapping[str, Any]) -> None:
    version = first.get("format", 1)  # the first format did not record its version
    if version != FORMAT_VERSION:
        age = "an older" if version < FORMAT_VERSION else "a newer"
        found = f"found ledger format {version}, expected {FORMAT_VERSION}"
        raise UserError(f"{path}: written by {age} version of study ({found}). {FIX_VERSION}")


def _encode_line(record: Mapping[str, Any]) -> bytes:
    body = json.dumps(record, sort_keys=True, separators=(",", ":"))
    return f"{zlib.crc32(body.encode()):08x} {body}\n".encode()


def _decode_line(line: bytes) -> dict[str, Any] | None:
    """Return the JSON object of a line, None if the line is incomplete or damaged."""
    checksum, _, body = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != f"{zlib.crc32(body):08x}".encode():
        return None
    record: dict[str, Any] = json.loads(body)
    return record
