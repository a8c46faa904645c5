"""Errors of a cluster or disk that end a launch; the same command continues the study later."""

from __future__ import annotations

from study.errors import InfrastructureError


class ClusterLost(InfrastructureError):
    """Cluster of a study that cannot be reached or has no node left."""


class StorageFull(InfrastructureError):
    """Disk on which nothing more can be written."""
