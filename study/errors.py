"""Errors of the machine or cluster that a study runs on."""

from __future__ import annotations

EXIT_CODE = 4
"""Exit code of a command that such an error ends."""


class InfrastructureError(Exception):
    """A problem outside the study file: no cluster, another driver, a full disk; it ends a command with `EXIT_CODE`."""
