"""Messages that C libraries print on standard error, kept from the terminal: ours name the file."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator

_STDERR = 2
DESCRIPTOR = threading.RLock()
"""Lock of standard error, which belongs to the whole process; hold it to print while another thread decodes."""


@contextlib.contextmanager
def native_messages() -> Iterator[list[str]]:
    """Keep standard error from the terminal inside the `with` block, and return its lines in the list at the end.

    It is the process's own descriptor, so hold it around one call of a decoder only.
    """
    lines: list[str] = []
    with DESCRIPTOR, contextlib.ExitStack() as stack:
        try:
            terminal = os.dup(_STDERR)
        except OSError:  # the process has no standard error
            yield lines
            return
        stack.callback(os.close, terminal)
        file = stack.enter_context(tempfile.TemporaryFile())
        os.dup2(file.fileno(), _STDERR)
        try:
            yield lines
        finally:
            os.dup2(terminal, _STDERR)
            file.seek(0)
            lines += file.read().decode(errors="replace").splitlines()
