"""The ledger: an append-only record of what a study did, from which everything else can be rebuilt.

One JSON object a line, each with the CRC-32 of its content, flushed to disk before the driver acts on it. A torn last
line (the driver was killed while writing) is cut off when the ledger is opened again; damage anywhere else is an error.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import IO, Any

from study.planning.jobs import Outcome
from trainables.common.errors import UserError

Event = dict[str, Any]
"""{"event": what happened, "time": seconds since the epoch, ...}; `study.scheduling.scheduler`
knows the events and their fields."""


class Ledger:
    """The open ledger of one study; only the driver that holds the study's lock may open it for writing."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._clock = clock
        self.events, whole = _read(path)
        self._file: IO[bytes] = path.open("ab")
        if self._file.tell() > whole:
            self._file.truncate(whole)

    def append(self, event: str, **fields: Any) -> Event:
        """Record `event`; when this returns it is on disk."""
        record: Event = {"event": event, "time": round(self._clock(), 3), **fields}
        self._file.write(_encode(record))
        self._file.flush()
        os.fsync(self._file.fileno())
        self.events.append(record)
        return record

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_ledger(path: Path) -> list[Event]:
    """The events of a ledger that may be in use; a torn last line is left out."""
    return _read(path)[0]


def _encode(record: Event) -> bytes:
    body = json.dumps(record, sort_keys=True, separators=(",", ":"))
    return f"{zlib.crc32(body.encode()):08x} {body}\n".encode()


def _read(path: Path) -> tuple[list[Event], int]:
    """The events and the length in bytes of the part that is whole."""
    if not path.exists():
        return [], 0
    events: list[Event] = []
    whole = 0
    lines = path.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        record = _decode(line)
        if record is None:
            if number < len(lines):
                raise UserError(f"{path}:{number}: this ledger line is damaged; restore the file from a backup")
            break
        events.append(record)
        whole += len(line)
    return events, whole


def _decode(line: bytes) -> Event | None:
    checksum, _, body = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != f"{zlib.crc32(body):08x}".encode():
        return None
    record: Event = json.loads(body)
    return record


def outcomes(events: Iterable[Event]) -> dict[str, Event]:
    """How each job ended last, by its name; one that is to be run again has not."""
    found: dict[str, Event] = {}
    for event in events:
        if event["event"] == "finished":
            found[event["job"]] = event
        elif event["event"] == "retried":
            found.pop(event["job"], None)
        elif event["event"] == "chosen":
            found = {job: ended for job, ended in found.items() if not outdated(ended, event)}
    return found


def outcome_of(ended: Event) -> Outcome:
    """The outcome in a "finished" event."""
    return Outcome(**{part.name: ended[part.name] for part in fields(Outcome)})


def outdated(ended: Event, chosen: Event) -> bool:
    """Whether an ended job is a replicate of a configuration that its cell has since given up for a better one."""
    same_cell = ended["kind"] == "replicate" and ended["cell"] == chosen["cell"]
    return bool(same_cell and ended["params"] != chosen["params"])


def follow(events: list[Event], kind: str) -> Iterator[Event]:
    """The events of one kind, in order."""
    return (event for event in events if event["event"] == kind)
