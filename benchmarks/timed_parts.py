"""Ordered parts of a measurement, each in a process of its own with a time limit and an outcome of its own."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks import results

SHORTEST = 5.0
"""Seconds below which no further part is started."""

LINES = 12
"""Most lines of a failed part's output that its outcome keeps."""


class PartSkipped(Exception):
    """A part that this machine cannot run, and why."""


class PartFailed(Exception):
    """A check that did not hold."""


@dataclass(frozen=True)
class Part:
    """One part of a measurement.

    Attributes:
        name: name of the part.
        seconds: longest time that it may take.
        run: function of the options to the part's figures, JSON-able. It raises PartSkipped or PartFailed.
        module: module whose option `--part NAME` runs it.
    """

    name: str
    seconds: float
    run: Callable[[argparse.Namespace], Mapping[str, Any]]
    module: str


@dataclass(frozen=True)
class Outcome:
    """Outcome of a part.

    Attributes:
        part: name of the part.
        status: "passed", "failed", "timed out" or "skipped".
        seconds: time that it took, its process's start included.
        found: the part's figures, if it passed.
        message: reason, if it did not pass.
    """

    part: str
    status: str
    seconds: float
    found: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""

    def line(self) -> str:
        """Return one line of text."""
        said = self.message.splitlines()[-1] if self.message else _short(self.found)
        return f"{self.status:9} {self.part} ({self.seconds:.1f} s): {said}"


Start = Callable[[Part, float], Outcome]
"""Function that runs a part for so many seconds at most."""

HandedOn = Callable[[Part, Any], list[str]]
"""Function of a part and the command line's options to the options of the part's process."""


def run_all(
    parts: Sequence[Part], start: Start, budget: float, clock: Callable[[], float] = time.monotonic
) -> Iterator[Outcome]:
    """Run the parts in order and yield their outcomes; skip those for which no time is left.

    Args:
        parts: parts to run.
        start: function that runs one of them.
        budget: seconds for all of them.
        clock: monotonic time in seconds.
    """
    ends = clock() + budget
    for part in parts:
        left = ends - clock()
        if left < SHORTEST:
            yield Outcome(part.name, "skipped", 0.0, message="no time is left of the budget")
        else:
            yield start(part, min(part.seconds, left))


def in_process(part: Part, seconds: float, arguments: Sequence[str]) -> Outcome:
    """Run a part in a process of its own, which is killed with its children when its time is over.

    Args:
        part: part to run.
        seconds: longest time.
        arguments: options of the module that are handed on.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "found.json"
        command = [sys.executable, "-m", part.module, *arguments, "--part", part.name, "--json", str(path)]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=seconds)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return Outcome(part.name, "timed out", time.monotonic() - began, message=f"more than {seconds:.0f} s")
        took = time.monotonic() - began
        written = json.loads(path.read_text()) if path.exists() else None
    if written is None or process.returncode:
        tail = "\n".join(output.strip().splitlines()[-LINES:])
        return Outcome(part.name, "failed", took, message=tail or f"ended with code {process.returncode}")
    return Outcome(part.name, written["status"], took, written["found"], written["message"])


def options_of(description: str | None, parts: Sequence[Part], budget: float) -> argparse.ArgumentParser:
    """Return a parser with the options that all measurements by parts have.

    Args:
        description: text of the module.
        parts: its parts.
        budget: seconds for all parts by default.
    """
    parser = results.parser(description)
    names = [part.name for part in parts]
    parser.add_argument("--device", default="cuda", help="cuda (default), or cpu with tiny sizes as a rehearsal")
    parser.add_argument("--budget", type=float, default=budget, help="seconds for all parts (default %(default)s)")
    parser.add_argument("--only", metavar="NAME", nargs="+", choices=names, help=f"parts to run: {', '.join(names)}")
    parser.add_argument("--part", choices=names, help=argparse.SUPPRESS)
    return parser


def main(parser: argparse.ArgumentParser, parts: Sequence[Part], handed_on: HandedOn) -> int:
    """Run the parts that the command line asks for, print a line for each, and return the exit code.

    Args:
        parser: parser from `options_of`.
        parts: all parts in order.
        handed_on: function of a part and the options to those that its process needs, besides `--device`.

    Returns:
        0 if nothing failed, 1 if a part failed or was timed out, 2 without the device.
    """
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("no GPU found. Fix: run on a machine with a GPU, or use --device cpu to rehearse with tiny sizes")
    if options.part is not None:
        return _run_here(next(part for part in parts if part.name == options.part), options)
    chosen = [part for part in parts if options.only is None or part.name in options.only]
    named = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU rehearsal: the figures mean nothing"
    print(f"{named}, torch {torch.__version__}", flush=True)

    def start(part: Part, seconds: float) -> Outcome:
        return in_process(part, seconds, ["--device", options.device, *handed_on(part, options)])

    outcomes: list[Outcome] = []
    for outcome in run_all(chosen, start, options.budget):
        outcomes.append(outcome)
        print(outcome.line(), flush=True)
        results.write(options.json, {"device": named, "torch": torch.__version__, "parts": outcomes})
    return int(any(each.status in ("failed", "timed out") for each in outcomes))


def _run_here(part: Part, options: argparse.Namespace) -> int:
    """Run one part in this process and write its outcome for the process that started it."""
    status, found, message = "passed", dict[str, Any](), ""
    try:
        found = dict(part.run(options))
    except PartSkipped as reason:
        status, message = "skipped", str(reason)
    except PartFailed as reason:
        status, message = "failed", str(reason)
    results.write(options.json, {"status": status, "found": found, "message": message})
    return 0


def _short(found: Mapping[str, Any]) -> str:
    """Return figures as one line: numbers with four digits, nested ones by their names."""
    return ", ".join(f"{name} {_value(value)}" for name, value in found.items())


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({_short(value)})"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
