"""Keyed hash that stands for a subject's identifier in stores, figures and logs."""

from __future__ import annotations

import hmac


def hash_subject(name: str, key: bytes) -> str:
    """Return the hash of a subject's identifier, 12 hexadecimal digits; `key` is the workspace's secret."""
    return hmac.new(key, name.encode(), "sha256").hexdigest()[:12]
