"""Health checks of a machine, its workspace and its connections, as `study doctor` prints them."""

from __future__ import annotations

import importlib.metadata
import ipaddress
import os
import platform
import re
import shutil
import socket
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
import torch
from packaging.requirements import Requirement
from packaging.version import Version

from study.execution.token import MODE
from study.storage.workspace import ACCESS, Workspace

Verdict = Literal["ok", "warning", "error"]

DISTRIBUTION = "pretext-study"
CORE = ("torch", "torchvision", "ray", "optuna", "mlflow", "numpy")
NETWORK_FILE_SYSTEMS = ("nfs", "cifs", "smb", "fuse.sshfs", "9p", "lustre", "gpfs", "beegfs", "ceph")
DASHBOARD = re.compile(r"dashboard[/\\]dashboard\.py|ray::DashboardHead")
RAY_PROCESSES = {
    "gcs_server": re.compile(r"^\S*gcs[/\\]gcs_server(\s|$)"),
    "raylet": re.compile(r"^\S*raylet[/\\]raylet(\s|$)"),
    "dashboard": DASHBOARD,
    "dashboard agent": re.compile(r"dashboard[/\\]agent\.py|ray::DashboardAgent"),
    "runtime environment agent": re.compile(r"runtime_env[/\\]agent[/\\]main\.py|ray::RuntimeEnvAgent"),
    "client server": re.compile(r"ray\.util\.client\.server"),
    "worker": re.compile(r"default_worker\.py|ray::"),
}
"""Pattern in the command line of each kind of Ray's processes; the first that matches counts."""

SMALL_DISK, SMALL_MEMORY = 5 * 2**30, 4 * 2**30
SYNCS = 5
METRICS_PORT = 44227
"""Port of Ray's Prometheus metrics, which Ray binds to every address."""


@dataclass(frozen=True)
class Finding:
    """Result of one health check.

    Attributes:
        subject: name of the checked item.
        verdict: "warning" stops nothing, "error" does.
        text: observation and advice.
    """

    subject: str
    verdict: Verdict
    text: str


def examine(place: Workspace, environment: dict[str, str]) -> Iterator[Finding]:
    """Run all checks and yield their findings in order."""
    yield from _versions()
    yield _graphics()
    yield from _memory()
    yield from _storage(place.root)
    yield from _permissions(place)
    address = environment.get("RAY_ADDRESS")
    cluster = _ray(address)
    yield cluster
    if address is not None and "://" not in address and cluster.verdict == "ok":
        yield _shared(place.root, address)
    yield _tracking(environment.get("MLFLOW_TRACKING_URI"))
    yield from exposed(listening())


def _versions() -> Iterator[Finding]:
    """Compare installed packages with the version ranges of this package."""
    yield Finding("python", "ok", platform.python_version())
    try:
        listed = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        listed = []
        yield Finding(DISTRIBUTION, "warning", "not installed, run from its folder: versions are not checked")
    asked = {each.name.lower(): each for each in map(Requirement, listed) if each.marker is None}
    for name in CORE:
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, "error", f"not installed, expected {asked[name].specifier if name in asked else 'any'}")
            continue
        wanted = asked[name].specifier if name in asked else None
        fits = wanted is None or wanted.contains(Version(found).public, prereleases=True)
        yield Finding(name, "ok" if fits else "error", found if fits else f"{found}, expected {wanted}")


def _graphics() -> Finding:
    count = torch.cuda.device_count()
    if not count:
        return Finding("GPU", "warning", "torch finds no GPU: everything runs on the CPU")
    names = ", ".join(
        f"{torch.cuda.get_device_name(n)} ({torch.cuda.get_device_properties(n).total_memory / 2**30:.0f} GiB)"
        for n in range(count)
    )
    return Finding("GPU", "ok", names)


def _memory() -> Iterator[Finding]:
    memory = psutil.virtual_memory()
    threads = torch.get_num_threads()
    yield Finding("CPU", "ok", f"{os.cpu_count()} cores, {threads} torch threads in this process")
    short = memory.available < SMALL_MEMORY
    text = f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free"
    yield Finding("memory", "warning" if short else "ok", text)
    shared = Path("/dev/shm")
    if shared.is_dir():
        free = shutil.disk_usage(shared).free
        text = f"{free / 2**30:.1f} GiB free in /dev/shm, where Ray keeps objects"
        yield Finding("shared memory", "warning" if free < 2**28 else "ok", text)


def _storage(root: Path) -> Iterator[Finding]:
    """Check that the workspace is writable, its write latency and free space."""
    existing = next(path for path in (root, *root.parents) if path.exists())
    if not os.access(existing, os.W_OK):
        yield Finding("workspace", "error", f"{existing} cannot be written; name another with --workspace")
        return
    with tempfile.TemporaryFile(dir=existing) as file:
        started = time.perf_counter()
        for _ in range(SYNCS):
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
        each = (time.perf_counter() - started) / SYNCS * 1000
    yield Finding("workspace", "warning" if each > 100 else "ok", f"{root}: writing through takes {each:.1f} ms")
    free = shutil.disk_usage(existing).free
    yield Finding("disk", "warning" if free < SMALL_DISK else "ok", f"{free / 2**30:.1f} GiB free")
    kind = _file_system(existing)
    if kind.startswith(NETWORK_FILE_SYSTEMS):
        yield Finding("file system", "warning", f"{kind}: SQLite needs care there; give `tracking` a server's URI")
    else:
        yield Finding("file system", "ok", kind or "unknown")


def _permissions(place: Workspace) -> Iterator[Finding]:
    """Warn of a workspace that others can read: it holds patients' images."""
    if place.open_to_others():
        text = f"{place.root} can be read by others; run chmod 700 {place.root}, or set {ACCESS}=group for a shared one"
        yield Finding("permissions", "warning", text)


def _file_system(path: Path) -> str:
    mounts = [part for part in psutil.disk_partitions(all=True) if path.is_relative_to(part.mountpoint)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else ""


def _ray(address: str | None) -> Finding:
    if address is None:
        return Finding("Ray cluster", "ok", "RAY_ADDRESS is not set: studies start Ray on this machine")
    host, _, port = address.removeprefix("ray://").partition(":")
    try:
        with socket.create_connection((host, int(port or 6379)), timeout=3):
            return Finding("Ray cluster", "ok", f"{address} answers")
    except (OSError, ValueError) as error:
        return Finding("Ray cluster", "error", f"RAY_ADDRESS is {address}: no answer ({error})")


def _shared(root: Path, address: str) -> Finding:
    """Check that all nodes of a cluster share the workspace."""
    from study.execution.cluster import ray_session
    from study.execution.errors import ClusterLost, FolderNotShared
    from study.execution.shared_folder import require_shared

    if not root.is_dir():
        return Finding("shared workspace", "ok", f"{root} does not exist yet: no node was asked")
    try:
        with ray_session(address):
            require_shared(root)
    except (FolderNotShared, ClusterLost) as error:
        return Finding("shared workspace", "warning" if isinstance(error, FolderNotShared) else "error", str(error))
    return Finding("shared workspace", "ok", f"all nodes of {address} share {root}")


def _tracking(uri: str | None) -> Finding:
    if uri is None or not uri.startswith("http"):
        return Finding("MLflow", "ok", f"{uri or 'local store in the workspace'}")
    shown = re.sub(r"//[^@/]*@", "//...@", uri)
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=3):
            return Finding("MLflow", "ok", f"{shown} answers")
    except (OSError, ValueError) as error:
        return Finding("MLflow", "warning", f"{shown}: no answer ({error}); metrics wait on disk until it does")


@dataclass(frozen=True)
class Listener:
    """Process that listens on a TCP port.

    Attributes:
        address: IP address that it listens on.
        port: number of the port.
        command: command line of the process.
        token: True if Ray asks for a token at its ports.
    """

    address: str
    port: int
    command: str
    token: bool = False


def listening() -> list[Listener]:
    """Return the listening processes that this user may see."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        try:
            command = " ".join(process.info["cmdline"] or ())
            open_ports = [each for each in process.net_connections(kind="tcp") if each.status == psutil.CONN_LISTEN]
            token = bool(open_ports) and _asks_for_token(process)
            found += [Listener(each.laddr.ip, each.laddr.port, command, token) for each in open_ports]
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def _asks_for_token(process: psutil.Process) -> bool:
    """Return True if a process of Ray, or the one that started it, was started with token authentication.

    Ray writes the names of its agents and workers over their environments.
    """
    near = (process, process.parent())
    return any(each is not None and each.environ().get(MODE) == "token" for each in near)


def exposed(listeners: list[Listener]) -> Iterator[Finding]:
    """Report ports of Ray and MLflow that other machines can reach, because they execute code.

    Ray's own ports, which its nodes need, are safe if they ask for a token.
    """
    safe: dict[str, int] = {}
    unsafe = False
    for each in listeners:
        what = _server(each.command)
        if ipaddress.ip_address(each.address).is_loopback or not what:
            continue
        place = f"{each.address}:{each.port}"
        if each.port == METRICS_PORT:
            yield Finding("open port", "warning", f"Ray's metrics are readable at {place} (read-only)")
        elif what == "MLflow" or DASHBOARD.search(each.command):
            unsafe = True
            yield Finding("open port", "error", f"{what} listens on {place}; bind it to 127.0.0.1")
        elif not each.token:
            unsafe = True
            text = f"{what} listens on {place} and asks for no token; start Ray with {MODE}=token in the environment"
            yield Finding("open port", "error", text)
        else:
            safe[what] = safe.get(what, 0) + 1
    if safe:
        counts = ", ".join(f"{what} ({count})" for what, count in sorted(safe.items()))
        yield Finding("Ray's ports", "ok", f"reachable from other machines, with a token: {counts}")
    if not unsafe:
        yield Finding("open ports", "ok", "no dashboard, tracking server or open Ray is reachable from other machines")


def _server(command: str) -> str:
    """Return which server a command line starts; "" for any other program."""
    if "mlflow" in command:
        return "MLflow"
    return next((f"Ray's {name}" for name, pattern in RAY_PROCESSES.items() if pattern.search(command)), "")
