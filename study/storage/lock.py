"""Locks of a study's driver and of other writers, released by the operating system when its process ends."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from study.errors import InfrastructureError


class Locked(InfrastructureError):
    """Error: another process runs this study, or writes into this folder."""


@dataclass(frozen=True)
class Holder:
    """Process that runs a study."""

    host: str
    pid: int


def holder(path: Path) -> Holder | None:
    """Return the process that holds a study's lock file; None if none does."""
    if not path.exists():
        return None
    with path.open("r") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            known = json.loads(file.read() or "{}")
            return Holder(known.get("host", "unknown"), int(known.get("pid", 0)))
    return None


@contextlib.contextmanager
def driver_lock(path: Path) -> Iterator[None]:
    """Hold a study's lock file, and remove the folder that nothing else was written into, as by a refused study.

    Raises:
        Locked: another process holds it; the message names its host and pid.
    """
    with file_lock(path, f"study '{path.parent.name}' is already being run"):
        try:
            yield
        finally:
            if list(path.parent.glob("*")) == [path]:
                shutil.rmtree(path.parent, ignore_errors=True)  # a network file system keeps open files


@contextlib.contextmanager
def file_lock(path: Path, busy: str) -> Iterator[None]:
    """Hold a lock file; the operating system releases it when the process ends, even by a kill.

    Args:
        path: the file; its folder is made.
        busy: text of the error if another process holds it.

    Raises:
        Locked: another process holds it; the message names its host and pid.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = json.loads(file.read() or "{}")
            where = f"host {holder.get('host', 'unknown')}, pid {holder.get('pid', 'unknown')}"
            raise Locked(f"{busy} ({where})") from None
        if os.fstat(file.fileno()).st_nlink == 0:
            raise Locked(f"{busy} (by a process that ended just now). Fix: run the same command again")
        file.seek(0)
        file.truncate()
        file.write(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
        file.flush()
        yield
