"""Errors of a cluster or disk that end a launch, which the same command continues, and of a GPU that end a process."""

from __future__ import annotations

import re

from study.errors import InfrastructureError


class ClusterLost(InfrastructureError):
    """Cluster of a study that cannot be reached or has no node left."""


class StorageFull(InfrastructureError):
    """Disk on which nothing more can be written."""


class FolderNotShared(InfrastructureError):
    """Folder of a study that a node of its cluster does not share."""

    @staticmethod
    def parse(cause: Exception | None) -> FolderNotShared | None:
        """Return the error that a crash's traceback ends with; None for any other crash."""
        found = re.findall(rf"{FolderNotShared.__name__}: (.+)", str(cause))
        return FolderNotShared(found[-1]) if found else None


class GpuFailed(RuntimeError):
    """Error of a GPU after which the process can use it no more; the job is run again in another process."""


class SharedGpuFull(RuntimeError):
    """Lack of memory on a GPU that the job shares with others; the job is run again with a GPU of its own."""
