"""Remote file store by URI, and the files of a job in it, for clusters whose nodes share no folder.

Jobs work in a cache on their own node: inputs are fetched from the store, outputs are put into it, and the driver
fetches them into its workspace. A folder is complete when it has its marker file, which is written last.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from filelock import FileLock
from pyarrow import fs

from study.planning.jobs import Job
from study.storage.artifacts import ArtifactStore
from study.storage.workspace import JobFolder, StudyFolder
from trainables.common.errors import UserError
from trainables.common.files import atomic_writer
from trainables.data.store.frames import META

log = logging.getLogger(__name__)

FRAMES, ARTIFACT, RESULT = META, "artifact.json", "result.json"
"""Marker files of a frame store, an artifact and an ended job."""

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
        """Return True if the folder `key` is complete."""
        return bool(self.system.get_file_info(f"{self.root}/{key}/{marker}").type == fs.FileType.File)

    def list_complete(self, key: str, marker: str) -> set[str]:
        """Return the names of the complete folders in `key`."""
        every = self.system.get_file_info(fs.FileSelector(f"{self.root}/{key}", recursive=True, allow_not_found=True))
        return {Path(found.path).parent.name for found in every if found.base_name == marker}

    def put(self, local: Path, key: str) -> None:
        """Put one file atomically: readers see the old or the new one."""
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
        """Put a folder's files, the marker last."""
        names = sorted(path.relative_to(local).as_posix() for path in local.rglob("*") if path.is_file())
        for name in sorted(names, key=lambda name: name == marker):
            self.put(local / name, f"{key}/{name}")

    def get_folder(self, key: str, local: Path, marker: str | None = None) -> None:
        """Fetch a folder's files, the marker last; a missing folder is ignored."""
        top = f"{self.root}/{key}"
        every = self.system.get_file_info(fs.FileSelector(top, recursive=True, allow_not_found=True))
        names = [found.path[len(top) + 1 :] for found in every if found.type == fs.FileType.File]
        for name in sorted(names, key=lambda name: name == marker):
            target = local / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with self.system.open_input_stream(f"{top}/{name}") as source, atomic_writer(target) as sink:
                shutil.copyfileobj(source, sink, CHUNK)

    def remove_folder(self, key: str) -> None:
        """Remove a folder with all that it holds; a missing folder is ignored."""
        with contextlib.suppress(FileNotFoundError):
            self.system.delete_dir(f"{self.root}/{key}")

    def remove(self, key: str) -> None:
        """Remove a file; a missing file is ignored."""
        with contextlib.suppress(FileNotFoundError):
            self.system.delete_file(f"{self.root}/{key}")


class LocalIO:
    """Input and output folders of a job that shares the workspace with the driver.

    Attributes:
        job: job whose frame folder is valid in this process.
        folder: folder of the job.
        artifacts: artifact store that the job reads and writes.
        save_every: seconds between checkpoints.
    """

    save_every = 30.0

    def __init__(self, job: Job, folder: JobFolder, artifacts: ArtifactStore) -> None:
        self.job, self.folder, self.artifacts = job, folder, artifacts

    def on_checkpoint(self) -> None:
        """Handle a written checkpoint."""

    def on_report(self) -> None:
        """Handle an epoch's written metrics, before they are reported to the driver."""

    def on_end(self) -> None:
        """Handle the end of the job."""

    def on_failure(self) -> None:
        """Handle an error that stops a worker group, whose other workers have no outcome."""


class RemoteIO(LocalIO):
    """Input and output of a job in a cache on this node, exchanged with a remote store.

    Args:
        job: job to run.
        storage: remote store.
        study: the study's name.
        cache: cache folder of this node.
    """

    save_every = 120.0

    def __init__(self, job: Job, storage: Storage, study: str, cache: Path) -> None:
        here = cache / sha256(storage.uri.encode()).hexdigest()[:16]
        self._storage, self._key = storage, job_key(study, job)
        frames = here / "data" / job.config["data"]
        artifacts, folder = ArtifactStore(here / "artifacts"), JobFolder(here / self._key)
        with _lock(here, job.config["data"]):
            if not (frames / FRAMES).exists():
                storage.get_folder(f"data/{job.config['data']}", frames, FRAMES)
        for address in job.inputs.values():
            with _lock(here, address):
                if not artifacts.has(address):
                    storage.get_folder(f"artifacts/{address}", artifacts.folder(address), ARTIFACT)
        storage.get_folder(self._key, folder.root, RESULT)
        if job.shared and not artifacts.has(job.digest):  # an earlier run, whose artifact is lost
            folder.result.unlink(missing_ok=True)
        if folder.result.exists() and json.loads(folder.result.read_text())["status"] == "failed":  # it is retried
            for name in (RESULT, "error.txt"):
                storage.remove(f"{self._key}/{name}")
                (folder.root / name).unlink(missing_ok=True)
        super().__init__(replace(job, frames=str(frames)), folder, artifacts)

    def on_checkpoint(self) -> None:
        """Put the checkpoint and the metrics into the store."""
        self._upload(*self.folder.root.glob("checkpoint*.pt"), self.folder.metrics)

    def on_report(self) -> None:
        """Put the metrics of a job that may be pruned at this epoch."""
        if self.job.kind != "replicate":
            self._upload(self.folder.metrics)

    def on_failure(self) -> None:
        """Put the reason into the store, from which the driver reads it."""
        self._upload(self.folder.root / "error.txt", self.folder.result)

    def _upload(self, *paths: Path) -> None:
        """Put files into the store; a failure is logged and training continues."""
        try:
            for path in paths:
                if path.exists():
                    self._storage.put(path, f"{self._key}/{path.name}")
        except OSError as error:
            log.warning("%s: upload to the store failed (%s)", self.job.id, error)

    def on_end(self) -> None:
        """Put the job's artifact and folder into the store, its result last."""
        if self.artifacts.has(self.job.digest):
            self._storage.put_folder(self.artifacts.folder(self.job.digest), f"artifacts/{self.job.digest}", ARTIFACT)
        self._storage.put_folder(self.folder.root, self._key, RESULT)
        for name in ("checkpoint.pt", "checkpoint.previous.pt"):
            self._storage.remove(f"{self._key}/{name}")


@dataclass(frozen=True)
class JobPaths:
    """Folders and store of a study's jobs.

    Attributes:
        study: the study's name.
        jobs: parent folder of the jobs in the workspace.
        artifacts: artifact folder of the workspace.
        storage: URI of the remote store; None where nodes share the workspace.
    """

    study: str
    jobs: str
    artifacts: str
    storage: str | None

    @property
    def shared_folder(self) -> Path | None:
        """Folder that all nodes must share: that of the study or of a store that is a folder; None for other stores."""
        if self.storage is None:
            return Path(self.jobs).parent
        is_folder = "://" not in self.storage or self.storage.startswith("file://")
        return Path(Storage(self.storage).root) if is_folder else None

    def scratch(self, shared: Path) -> dict[str, Any]:
        """Return the storage arguments of Ray's run configurations: the shared folder, or the remote store."""
        if self.storage is None:
            return {"storage_path": str(shared)}
        storage = Storage(self.storage)
        return {"storage_path": f"{storage.root}/ray/{self.study}", "storage_filesystem": storage.system}

    def job_io(self, job: Job, cache: Path) -> LocalIO:
        """Return the input and output of a job in this process."""
        if self.storage is not None:
            return RemoteIO(job, Storage(self.storage), self.study, cache)
        return LocalIO(job, JobFolder(Path(self.jobs) / job.id), ArtifactStore(Path(self.artifacts)))


def job_key(study: str, job: Job) -> str:
    """Return the key of a job's folder in a store; it depends on the configuration's digest."""
    return f"studies/{study}/jobs/{job.id}-{job.digest[:8]}"


def fetch_job(storage: Storage, folder: StudyFolder, job: Job, artifacts: ArtifactStore) -> None:
    """Copy a job's files and artifact from a remote store into the workspace."""
    storage.get_folder(job_key(folder.name, job), folder.job(job.id).root, RESULT)
    if not artifacts.has(job.digest):
        storage.get_folder(f"artifacts/{job.digest}", artifacts.folder(job.digest), ARTIFACT)


def _lock(cache: Path, name: str) -> FileLock:
    """Return the lock that one process of this node holds while it fetches `name` into the cache."""
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    return FileLock(cache / f".{name}.lock")
