"""First half hour on a new GPU: tests, waits, agreement with the CPU, precision, faults, workers, speed and profiles.

    python -m benchmarks.gpu_first [--budget 1800] [--only NAME ...] [--json FILE] [--traces FOLDER] [--peak 989]
    python -m benchmarks.gpu_first --device cpu

It needs only torch and the dependencies of `trainables`; pytest and hypothesis for the first part. The parts run in a
fixed order, correctness before speed, each in a process of its own with a time limit and a line of its own that says
passed, failed, timed out or skipped, and why. The parts of `benchmarks.gpu` follow the checks. `--json` is written
after each part. `--device cpu` runs what makes sense on a CPU with tiny sizes. Exit codes: 0 if no part failed, 1 if
one did, 2 without a GPU.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks import gpu, gpu_checks, timed_parts
from benchmarks.gpu_sizes import sizes_on
from benchmarks.gpu_steps import Steps
from benchmarks.gpu_workers import workers
from benchmarks.timed_parts import Part, PartFailed, PartSkipped

ROOT = Path(__file__).parents[1]


def tests(options: argparse.Namespace) -> dict[str, Any]:
    """Run the tests that need a GPU, without the fixtures that start studies."""
    if torch.device(options.device).type != "cuda":
        raise PartSkipped("the tests need a GPU")
    for name in ("pytest", "hypothesis"):
        if importlib.util.find_spec(name) is None:
            raise PartSkipped(f"{name} is not installed")
    command = [sys.executable, "-m", "pytest", "-m", "cuda", "tests/cuda", "--noconftest", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PartFailed("\n".join(done.stdout.splitlines()[-40:]))
    return {"pytest": done.stdout.strip().splitlines()[-1]}


def profiles(options: argparse.Namespace) -> dict[str, Any]:
    """Profile a training step of SimCLR and of DeepLabV3: its kernels, and the operations that take longest."""
    scale, found = sizes_on(options.device), dict[str, Any]()
    cuda = scale.device.type == "cuda"
    for name in ("SimCLR", "DeepLabV3"):
        steps = Steps(name, scale)
        for _ in range(3):
            steps.step()
        with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]) as profiler:
            steps.step()
            if cuda:
                torch.cuda.synchronize(scale.device)
        events = profiler.key_averages()
        kernels = [event for event in events if event.device_type == torch.autograd.DeviceType.CUDA]
        key = "self_device_time_total" if cuda else "self_cpu_time_total"
        slowest = sorted(kernels if cuda else events, key=lambda event: -getattr(event, key))[:8]
        found[name] = {
            "kernels": sum(event.count for event in kernels),
            "milliseconds": {event.key[:60]: getattr(event, key) / 1e3 for event in slowest},
        }
        if options.traces is not None:
            options.traces.mkdir(parents=True, exist_ok=True)
            profiler.export_chrome_trace(str(options.traces / f"{name}.json"))
        del steps
        gpu.free(scale.device)
    return found


def _part(name: str, seconds: float, run: Callable[[argparse.Namespace], Mapping[str, Any]]) -> Part:
    return Part(name, seconds, run, "benchmarks.gpu_first")


CHECKS = (
    _part("tests", 240, tests),
    _part("waits", 90, gpu_checks.waits),
    _part("agreement", 120, gpu_checks.agreement),
    _part("precision", 150, gpu_checks.precision),
    _part("resume", 90, gpu_checks.resume),
    _part("out_of_memory", 120, gpu_checks.out_of_memory),
    _part("workers", 150, workers),
)
PARTS = (*CHECKS, *gpu.PARTS, _part("profiles", 120, profiles))
"""Parts in their order."""


def handed_on(part: Part, options: argparse.Namespace) -> list[str]:
    """Return the options that a part's process needs; those of the benchmark know no traces."""
    if part in gpu.PARTS:
        return gpu.handed_on(part, options)
    return ["--traces", str(options.traces)] if options.traces else []


def main() -> int:
    """Run the parts and return the exit code."""
    parser = timed_parts.options_of(__doc__, PARTS, budget=1800)
    parser.add_argument("--peak", type=float, help="peak bf16 throughput of the GPU, in TFLOP/s")
    parser.add_argument("--traces", type=Path, help="folder for the profiles as Chrome traces")
    return timed_parts.main(parser, PARTS, handed_on)


if __name__ == "__main__":
    sys.exit(main())
