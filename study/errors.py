"""Errors of the machine or cluster that a study runs on."""

from __future__ import annotations


class InfrastructureError(Exception):
    """A problem outside the study file: no cluster, another driver, a full disk. The command exits with code 4."""
