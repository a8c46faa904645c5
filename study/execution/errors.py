"""Errors of a cluster or disk that end a launch, which the same command continues, and of a GPU that end a process."""

from __future__ import annotations

from study.errors import InfrastructureError


class ClusterLost(InfrastructureError):
    """Cluster of a study that cannot be reached or has no node left."""


class StorageFull(InfrastructureError):
    """Disk on which nothing more can be written."""


class GpuFailed(RuntimeError):
    """Error of a GPU after which the process can use it no more; the job is run again in another process."""


class SharedGpuFull(RuntimeError):
    """Lack of memory on a GPU that the job shares with others; the job is run again with a GPU of its own."""
