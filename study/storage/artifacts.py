"""Content-addressed store of stage outputs."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from study.config.plain import canonical
from trainables.common.errors import CheckpointError
from trainables.common.files import atomic_writer, sync_directory, write_json, write_text
from trainables.engine.checkpoint import load_tensors, save_tensors


def digest(config: Mapping[str, Any]) -> str:
    """Return the digest of a job's configuration: SHA-256 of its canonical form.

    `config` contains everything that the output depends on: the stage's settings and schema version, the data's
    fingerprint, the seed, and the digests of its input artifacts.
    """
    return hashlib.sha256(canonical(dict(config)).encode()).hexdigest()


@dataclass(frozen=True)
class ArtifactStore:
    """Artifacts below one root, each a folder named by its digest with artifact.json and the stage's output.

    Weights are in weights.pt, arrays in NAME.npy, tables in NAME.csv.
    """

    root: Path

    def folder(self, address: str) -> Path:
        """Return the folder of the artifact with this digest, which may not exist yet."""
        return self.root / address

    def has(self, address: str) -> bool:
        """Return True if the artifact exists completely."""
        return (self.folder(address) / "artifact.json").exists()

    def put(
        self,
        address: str,
        about: Mapping[str, Any],
        weights: Mapping[str, Tensor] | None = None,
        arrays: Mapping[str, np.ndarray] | None = None,
        tables: Mapping[str, str] | None = None,
    ) -> Path:
        """Store a stage's output and description atomically; an existing artifact is kept."""
        self.root.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=self.root, prefix=f".{address[:12]}."))
        try:
            if weights is not None:
                save_tensors(part / "weights.pt", dict(weights))
            for name, array in (arrays or {}).items():
                with atomic_writer(part / f"{name}.npy") as file:
                    np.save(file, array, allow_pickle=False)
            for name, text in (tables or {}).items():
                write_text(part / f"{name}.csv", text)
            write_json(part / "artifact.json", {"digest": address, **about})
            part.chmod(0o755)
            try:
                part.rename(self.folder(address))
            except OSError:
                if not self.has(address):
                    raise
            sync_directory(self.root)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return self.folder(address)

    def weights(self, address: str) -> dict[str, Tensor]:
        """Return the stored weights on the CPU.

        Raises:
            CheckpointError: there is no such artifact, or it is damaged.
        """
        return load_tensors(self._file(address, "weights.pt"))

    def array(self, address: str, name: str) -> np.ndarray:
        """Return a stored array, memory-mapped.

        Raises:
            CheckpointError: there is no such artifact, or it is damaged.
        """
        path = self._file(address, f"{name}.npy")
        try:
            return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path}: unreadable ({error})") from None

    def table(self, address: str, name: str) -> str:
        """Return the text of a stored table."""
        return self._file(address, f"{name}.csv").read_text()

    def about(self, address: str) -> dict[str, Any]:
        """Return the description in artifact.json."""
        loaded: dict[str, Any] = json.loads((self.folder(address) / "artifact.json").read_text())
        return loaded

    def _file(self, address: str, name: str) -> Path:
        if not self.has(address):
            raise CheckpointError(f"{self.folder(address)}: no such artifact")
        return self.folder(address) / name
