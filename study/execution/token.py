"""The token by which the processes of a Ray cluster on this machine know each other.

Ray's ports accept connections of all local users, and some of other machines: whoever may talk to them can run code.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import os
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Any

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
"""Environment variables of Ray: the mode of authentication, the token, and the file that holds it."""


def require_token() -> None:
    """Let Ray start on this machine with token authentication, whatever its version does by default.

    A token that the environment names is used. Otherwise there is a new one for this process, in a private file: Ray
    itself would write one into the home folder that other users may read.
    """
    os.environ[MODE] = "token"
    if not os.environ.get(TOKEN) and not os.environ.get(TOKEN_PATH):
        os.environ[TOKEN_PATH] = str(private_token())
    # Ray has read the environment when it was imported.
    with contextlib.suppress(ImportError, AttributeError):
        raylet: Any = importlib.import_module("ray._raylet")
        raylet.Config.initialize("")
        raylet.AuthenticationTokenLoader.instance().reset_cache()


@functools.cache
def private_token() -> Path:
    """Return a file with a random token that only this user may read; it is removed when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="study-token-"))  # of mode 700
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "auth_token"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
    return path
