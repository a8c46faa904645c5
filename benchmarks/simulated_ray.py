"""Ray clusters that are simulated on this machine, and trials that do not train."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from study.execution import trial
from study.execution.cluster import QUIET
from study.planning.jobs import Outcome
from trainables.common.files import write_json

Train = Callable[[Any, Any], Outcome]
"""Function of a job and its runtime that stands for the training, and returns the outcome."""


@contextlib.contextmanager
def simulated_cluster(nodes: int, slots: int) -> Iterator[str]:
    """Start a Ray cluster on this machine and yield its address.

    Args:
        nodes: number of nodes.
        slots: logical CPUs of each node.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import ray  # after the environment is set, as Ray reads it when imported
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": slots, "object_store_memory": 10**8})
    for _ in range(nodes - 1):
        made.add_node(num_cpus=slots, object_store_memory=10**8)
    made.wait_for_nodes()
    try:
        yield made.address
    finally:
        ray.shutdown()
        made.shutdown()


def pretending_trial(train: Train) -> Callable[[dict[str, Any]], None]:
    """Return a trial function that calls `train` instead of training.

    Ray's worker processes cannot import the benchmarks: nested functions are sent to them by value.
    """

    def pretending(config: dict[str, Any]) -> None:
        def pretend(job: Any, folder: Any, artifacts: Any, runtime: Any) -> Outcome:
            outcome = train(job, runtime)
            write_json(folder.result, asdict(outcome))
            return outcome

        trial.execute = pretend
        trial.run_trial(config)

    return pretending
