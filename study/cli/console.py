"""Consoles of the command line: whole values in files and pipes, and a quiet end when the reader is gone."""

from __future__ import annotations

import os
import re
import select
import sys
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

PIPE_WIDTH = 10_000
"""Width in characters of output that is not a terminal, so that no line of it wraps."""

_STEERING = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""C0 and C1 controls, marks of writing direction, and halves of characters, which cannot be printed."""

STANDARD_STREAMS = (1, 2)
"""File descriptors of standard output and standard error."""


class OutputConsole(Console):
    """Console that wraps lines on a terminal only, and shows control characters of a text instead of obeying them.

    Emoji codes such as `:heart:` stay as they are.

    Args:
        stderr: print to standard error instead of standard output.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        terminal = (sys.stderr if stderr else sys.stdout).isatty()
        super().__init__(stderr=stderr, width=None if terminal else PIPE_WIDTH, emoji=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of a renderable with the control characters of its text escaped."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        """Exit with the broken pipe as context; rich's own version would hide from `reader_gone` which stream it is."""
        raise SystemExit(1)


def printable(text: str) -> str:
    r"""Return a text with characters that steer a terminal or reorder a line shown as escapes, line ends apart.

    Example:
        >>> print(printable("a" + chr(27) + "[2Jb" + chr(0x202E) + "c"))
        a\x1b[2Jb\u202ec
    """
    return _STEERING.sub(lambda found: ascii(found[0])[1:-1], text)


def reader_gone() -> bool:
    """Return True if the program that standard output or error is piped to has closed its end."""
    poll = select.poll()
    for stream in STANDARD_STREAMS:
        poll.register(stream, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def discard_output() -> None:
    """Send the rest of the output to the null device, so that Python's last flush of a closed pipe is no error."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in STANDARD_STREAMS:
        os.dup2(null, stream)


def foldable(cell: str, console: Console) -> str:
    """Return a cell's key for a table: on a terminal with spaces after the commas, where the line may fold."""
    return cell.replace(",", ", ") if console.is_terminal else cell
