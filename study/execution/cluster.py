"""Ray sessions on this machine or an existing cluster, and checks of resource requests."""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from study.config.resources import Capacity
from study.execution.errors import ClusterLost
from study.execution.head_watch import LOCAL_TIMEOUT, LOST, REMOTE_TIMEOUT, end_process, watched_head
from study.execution.token import require_token
from study.planning.jobs import ResourceRequest
from trainables.common.errors import UserError

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_MAX_PENDING_TRIALS_PG": "1000",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
}
"""Ray's settings for a driver that keeps its own records: no telemetry, no loggers, no snapshots of Tune's state.

Tune starts pending trials one after another by default; the scheduler starts no more jobs than fit the cluster.
"""

STORE = 200 * 2**20
"""Bytes of Ray's object store on this machine; it stays almost empty because frames are memory-mapped files."""


GROWS = (
    ". Fix: start its workers, or if it grows by itself, name its largest size: --set resources.max.cpus=N --set "
    "resources.max.gpus=N"
)

CONNECT = 10.0
"""Seconds within which a cluster's head must answer."""


@contextlib.contextmanager
def ray_session(address: str | None) -> Iterator[dict[str, float]]:
    """Connect to the cluster at `address`, or start one on this machine; yield its resources.

    A local cluster has its dashboard on loopback: without it, Ray does not free the resources of stopped worker groups.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if address:
        _check_reachable(address)
    on_termination = signal.getsignal(signal.SIGTERM)
    import ray  # after the environment is set, as Ray reads it when imported

    _keep_credentials_out_of_the_logs()
    init = functools.partial(ray.init, log_to_driver=False, logging_level=logging.ERROR)
    try:
        if address:
            _join(functools.partial(init, address), address)
        else:
            require_token()
            _start_here(functools.partial(init, "local", include_dashboard=True, dashboard_host="127.0.0.1"))
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_termination)  # Ray's own handler aborts the process
        for name in ("ray.tune", "ray.train", "ray.data"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        with _watched(ray.get_runtime_context().gcs_address, local=address is None):
            yield ray.cluster_resources()
    finally:
        gc.collect()  # a handle of Ray's that is collected after Ray is gone ends the process
        ray.shutdown()


def _watched(head: str, *, local: bool) -> contextlib.AbstractContextManager[None]:
    """Watch the head of a session, and end the process with one message if it dies."""
    fix = "see `study doctor`" if local else "start the cluster's head"
    timeout = LOCAL_TIMEOUT if local else REMOTE_TIMEOUT
    return watched_head(head, timeout, lambda address: end_process(LOST.format(address=address, fix=fix)))


def _join(join: Callable[[], Any], address: str) -> None:
    """Join a cluster, or say why that is impossible."""
    try:
        join()
    except Exception as error:  # of many kinds: nobody there, another version, no token
        raise ClusterLost(_unreachable(address, error)) from error


def _start_here(start: Callable[..., Any]) -> None:
    """Start Ray on this machine, and retry once: on a busy machine its processes may time out."""
    import ray

    try:
        start(object_store_memory=STORE)
    except Exception:  # of many kinds: a dashboard that is late, a port that was taken
        ray.shutdown()
        try:
            start(object_store_memory=STORE)
        except Exception as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise ClusterLost(f"Ray does not start on this machine: {lines[0]}; see `study doctor`") from error


def _keep_credentials_out_of_the_logs() -> None:
    """Keep Tune from passing AWS credentials to its processes, because Ray logs them; nodes have their own."""
    from ray.tune.execution import class_cache

    handed_on: set[str] = getattr(class_cache, "ENV_VARS_TO_PROPAGATE", set())
    handed_on -= {name for name in handed_on if name.startswith("AWS_")}


def _check_reachable(address: str) -> None:
    """Refuse a host that does not answer within seconds; Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    if host and "/" not in address and port.isdigit():
        try:
            socket.create_connection((host, int(port)), timeout=CONNECT).close()
        except OSError as error:
            raise ClusterLost(_unreachable(address, error)) from error


def _unreachable(address: str, error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return (
        f"the Ray cluster at '{address}' cannot be joined: {lines[0]}\n"
        "expected a running head with the same version of Ray; if it asks for a token, RAY_AUTH_MODE=token in the "
        "environment and the head's token in ~/.ray/auth_token or RAY_AUTH_TOKEN"
    )


def local_resources() -> dict[str, float]:
    """Return the resources of a cluster on this machine."""
    import torch

    return {"CPU": float(os.cpu_count() or 1), "GPU": float(torch.cuda.device_count())}


def capacity(resources: Mapping[str, float], most: Capacity | None) -> dict[str, float]:
    """Return the resources that a cluster has or may scale to, by Ray's names."""
    grown = {"CPU": most.cpus, "GPU": most.gpus} if most is not None else {}
    return {name: max(resources.get(name, 0.0), grown.get(name, 0.0)) for name in ("CPU", "GPU")}


def preflight(
    needs: Sequence[tuple[str, ResourceRequest]], resources: Mapping[str, float], *, grows: bool = False
) -> None:
    """Refuse a study with a stage that the cluster can never place.

    Args:
        needs: (name of the stage, what one of its jobs asks).
        resources: resources of the cluster by Ray's names.
        grows: the cluster may grow, so that the message says how to name its largest size.

    Raises:
        UserError: the message names the stage, its request and the cluster's resources.
    """
    for stage, need in needs:
        for name, asked in (("cpus", need.cpus), ("gpus", need.gpus)):
            total = resources.get({"cpus": "CPU", "gpus": "GPU"}[name], 0.0)
            if need.workers * asked > total:
                text = f"{need.workers} worker(s) with {asked:g} {name} each need {need.workers * asked:g} {name}"
                raise UserError(f"resources.{stage}: {text}, and the cluster has {total:g}{GROWS if grows else ''}")


def unused_gpus(needs: Sequence[tuple[str, ResourceRequest]], resources: Mapping[str, float]) -> str:
    """Return a warning if the cluster has GPUs and no stage asks for one, else "".

    Args:
        needs: (name of the stage, what one of its jobs asks).
        resources: resources of the cluster by Ray's names.
    """
    total = resources.get("GPU", 0.0)
    if not total or any(need.gpus for _, need in needs):
        return ""
    return (
        f"warning: all jobs train on CPUs, as no stage asks for a GPU (found {total:g}). Fix: set gpus under "
        "resources, such as resources.downstream.gpus=1, or a fraction so that several jobs share a GPU"
    )
