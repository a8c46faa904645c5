"""A store of files by URI, and a job's site at it: for clusters whose nodes share no folder.

Jobs then work in a cache on their own node. What they need is fetched from the store, what they make is left there, and
the driver fetches that into its workspace. A folder is there when its marker is, which is written last.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from pyarrow import fs

from study.planning.jobs import Job
from study.storage.artifacts import ArtifactStore
from study.storage.workspace import JobFolder
from trainables.common.errors import UserError
from trainables.common.files import atomic_writer
from trainables.data.store.frames import META

log = logging.getLogger(__name__)

FRAMES, ARTIFACT, RESULT = META, "artifact.json", "result.json"
"""Markers of a frame store, an artifact and an ended job."""

CHUNK = 2**22


class Storage:
    """Files under a URI: a path, `file:///shared/runs`, `s3://bucket/prefix`, or any other that pyarrow knows.

    Credentials come from the environment or the machine's role, as the store's own tools read them; never from the URI.

    Raises:
        UserError: the URI names nothing that can be opened, or holds a secret.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        if "@" in uri.partition("?")[0]:
            raise UserError("storage: the URI holds a user or password; give credentials in the environment")
        try:
            self.system, root = fs.FileSystem.from_uri(str(Path(uri).absolute()) if "://" not in uri else uri)
        except (OSError, ValueError) as error:
            raise UserError(f"storage: '{uri}' cannot be opened ({error})") from error
        self.root = root.rstrip("/")

    def has(self, key: str, marker: str) -> bool:
        """Whether the folder `key` is there, whole."""
        return bool(self.system.get_file_info(f"{self.root}/{key}/{marker}").type == fs.FileType.File)

    def list_complete(self, key: str, marker: str) -> set[str]:
        """Names of the whole folders in `key`."""
        every = self.system.get_file_info(fs.FileSelector(f"{self.root}/{key}", recursive=True, allow_not_found=True))
        return {Path(found.path).parent.name for found in every if found.base_name == marker}

    def put(self, local: Path, key: str) -> None:
        """Leave one file; whoever reads it meanwhile finds the old one or the new one."""
        target = f"{self.root}/{key}"
        in_place = not isinstance(self.system, fs.LocalFileSystem)  # object stores show an object when it is complete
        part = target if in_place else f"{target}.{os.getpid()}.part"
        if not in_place:
            self.system.create_dir(str(Path(target).parent), recursive=True)
        with local.open("rb") as source, self.system.open_output_stream(part) as sink:
            shutil.copyfileobj(source, sink, CHUNK)
        if not in_place:
            self.system.move(part, target)

    def put_folder(self, local: Path, key: str, marker: str) -> None:
        """Leave a folder's files, the marker last."""
        names = sorted(path.relative_to(local).as_posix() for path in local.rglob("*") if path.is_file())
        for name in sorted(names, key=lambda name: name == marker):
            self.put(local / name, f"{key}/{name}")

    def get_folder(self, key: str, local: Path, marker: str | None = None) -> None:
        """Fetch a folder's files; nothing if there is none. The marker comes last."""
        top = f"{self.root}/{key}"
        every = self.system.get_file_info(fs.FileSelector(top, recursive=True, allow_not_found=True))
        names = [found.path[len(top) + 1 :] for found in every if found.type == fs.FileType.File]
        for name in sorted(names, key=lambda name: name == marker):
            target = local / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with self.system.open_input_stream(f"{top}/{name}") as source, atomic_writer(target) as sink:
                shutil.copyfileobj(source, sink, CHUNK)

    def remove(self, key: str) -> None:
        """Remove a file; nothing if there is none."""
        with contextlib.suppress(FileNotFoundError):
            self.system.delete_file(f"{self.root}/{key}")


class LocalIO:
    """Where a job's process finds its input and leaves its output: folders that the driver sees too.

    Attributes:
        job: with its frames' folder as this process sees it.
        folder: of the job.
        artifacts: that it reads and writes.
        save_every: seconds between checkpoints.
    """

    save_every = 30.0

    def __init__(self, job: Job, folder: JobFolder, artifacts: ArtifactStore) -> None:
        self.job, self.folder, self.artifacts = job, folder, artifacts

    def saved(self) -> None:
        """A checkpoint was written."""

    def reported(self) -> None:
        """An epoch's metrics were written, and the driver is about to hear of them."""

    def ended(self) -> None:
        """The job has ended."""


class RemoteIO(LocalIO):
    """A cache on this node; input comes from a store, and output goes there.

    Args:
        job: to run.
        storage: the store.
        study: the study's name.
        cache: of this node.
    """

    save_every = 120.0

    def __init__(self, job: Job, storage: Storage, study: str, cache: Path) -> None:
        here = cache / sha256(storage.uri.encode()).hexdigest()[:16]
        self._storage, self._key = storage, job_key(study, job)
        frames = here / "data" / job.config["data"]
        artifacts, folder = ArtifactStore(here / "artifacts"), JobFolder(here / self._key)
        with file_lock(here, job.config["data"]):
            if not (frames / FRAMES).exists():
                storage.get_folder(f"data/{job.config['data']}", frames, FRAMES)
        for address in job.inputs.values():
            with file_lock(here, address):
                if not artifacts.has(address):
                    storage.get_folder(f"artifacts/{address}", artifacts.folder(address), ARTIFACT)
        storage.get_folder(self._key, folder.root, RESULT)
        super().__init__(replace(job, frames=str(frames)), folder, artifacts)

    def saved(self) -> None:
        """Carry the checkpoint and the metrics."""
        self._carry(*self.folder.root.glob("checkpoint*.pt"), self.folder.metrics)

    def reported(self) -> None:
        """Carry the metrics of what may be stopped at this epoch."""
        if self.job.kind != "replicate":
            self._carry(self.folder.metrics)

    def _carry(self, *paths: Path) -> None:
        """Put files into the store; one that fails to take them stops nothing."""
        try:
            for path in paths:
                if path.exists():
                    self._storage.put(path, f"{self._key}/{path.name}")
        except OSError as error:
            log.warning("%s: not carried to the store (%s)", self.job.id, error)

    def ended(self) -> None:
        """Carry what the job made, its result last."""
        if self.artifacts.has(self.job.digest):
            self._storage.put_folder(self.artifacts.folder(self.job.digest), f"artifacts/{self.job.digest}", ARTIFACT)
        self._storage.put_folder(self.folder.root, self._key, RESULT)
        for name in ("checkpoint.pt", "checkpoint.previous.pt"):
            self._storage.remove(f"{self._key}/{name}")


@dataclass(frozen=True)
class JobPaths:
    """Where a study's jobs find and leave files.

    Attributes:
        study: the study's name.
        jobs: their folders in the workspace.
        artifacts: of the workspace.
        storage: URI of the store that stands between, where nodes do not see the workspace.
    """

    study: str
    jobs: str
    artifacts: str
    storage: str | None

    def scratch(self, shared: Path) -> dict[str, Any]:
        """Where Ray keeps its own state, as its run configurations take it: a shared folder, or in the store."""
        if self.storage is None:
            return {"storage_path": str(shared)}
        storage = Storage(self.storage)
        return {"storage_path": f"{storage.root}/ray/{self.study}", "storage_filesystem": storage.system}

    def site(self, job: Job, cache: Path) -> LocalIO:
        """The site of a job in this process."""
        if self.storage is not None:
            return RemoteIO(job, Storage(self.storage), self.study, cache)
        return LocalIO(job, JobFolder(Path(self.jobs) / job.id), ArtifactStore(Path(self.artifacts)))


def node_cache() -> Path:
    """Of this node: $STUDY_CACHE, or a folder of this user's among the temporary ones."""
    return Path(os.environ.get("STUDY_CACHE") or Path(tempfile.gettempdir()) / f"study-cache-{os.getuid()}")


def job_key(study: str, job: Job) -> str:
    """Where a store keeps a job's folder; a configuration that was given up had another."""
    return f"studies/{study}/jobs/{job.id}-{job.digest[:8]}"


@contextlib.contextmanager
def file_lock(cache: Path, name: str) -> Iterator[None]:
    """One process of this node at a time fetches the same thing."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f".{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
