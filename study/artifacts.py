"""The content-addressed store of stage outputs."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from study.settings import canonical
from trainables.checkpoint import load_tensors, save_tensors
from trainables.errors import CheckpointError
from trainables.files import sync_directory, write_json


def digest(config: Mapping[str, Any]) -> str:
    """The address of what `config` determines: SHA-256 of its canonical form.

    `config` holds everything the output depends on: the stage's settings and schema version, the data's fingerprint,
    the seed, and the digests of the artifacts it starts from.
    """
    return hashlib.sha256(canonical(dict(config)).encode()).hexdigest()


@dataclass(frozen=True)
class ArtifactStore:
    """Artifacts under one root, each a folder named by its digest: weights.pt and artifact.json."""

    root: Path

    def folder(self, address: str) -> Path:
        """Where the artifact with this digest is or will be."""
        return self.root / address

    def has(self, address: str) -> bool:
        """Whether it is there, whole."""
        return (self.folder(address) / "artifact.json").exists()

    def put(self, address: str, weights: Mapping[str, Tensor], about: Mapping[str, Any]) -> Path:
        """Store weights and their description; if somebody else was first, theirs is kept."""
        self.root.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=self.root, prefix=f".{address[:12]}."))
        try:
            save_tensors(part / "weights.pt", dict(weights))
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
        """The stored weights, on the CPU.

        Raises:
            CheckpointError: there is no such artifact, or it is damaged.
        """
        if not self.has(address):
            raise CheckpointError(f"{self.folder(address)}: no such artifact")
        return load_tensors(self.folder(address) / "weights.pt")

    def about(self, address: str) -> dict[str, Any]:
        """The stored description."""
        loaded: dict[str, Any] = json.loads((self.folder(address) / "artifact.json").read_text())
        return loaded
