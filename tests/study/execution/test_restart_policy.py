"""Choice of the job to blame when Ray kills processes for a node's memory."""

from ray.exceptions import ActorDiedError, OutOfMemoryError

from study.execution.restart_policy import MAX_CRASHES, MemoryKill, RestartPolicy

TEXT = """2 worker(s) were killed due to the node running low on memory. Memory was 3.88GB used / 23.54GB
Ray killed 2 worker(s) based on the killing policy
Considered workers: [
Selected to kill: (Actor(358756e386a0): job ID=01, task name=A.__init__, pid=8687, actual memory used=0.06GB, x)
Selected to kill: (Actor(23d5c536dd24): job ID=01, task name=A.__init__, pid=8686, actual memory used=12.86GB, x)
(Actor(99d5c536dd24): job ID=01, task name=A.__init__, pid=8688, actual memory used=7.00GB, x)
]
Top 10 memory users: PID MEM(GB) COMMAND
8686 2.86 ray::A.run
"""


def test_of_the_killed_processes_the_one_with_most_memory_is_named():
    kill = MemoryKill.parse(OutOfMemoryError(TEXT))
    found = "its process had 12.9 GB and all processes 3.9 of the node's 23.5 GB"
    assert kill == MemoryKill(frozenset({"358756e386a0", "23d5c536dd24"}), "23d5c536dd24", found)


def test_one_that_was_only_considered_may_have_most():
    kill = MemoryKill.parse(OutOfMemoryError(TEXT.replace("7.00GB", "17.00GB")))
    assert kill is not None
    assert kill.largest == "99d5c536dd24" not in kill.killed


def test_a_message_without_names_names_no_process():
    assert MemoryKill.parse(RuntimeError("Worker 1 failed: the node running low on memory")) == MemoryKill(
        frozenset(), None
    )


def test_another_error_is_no_memory_kill():
    assert MemoryKill.parse(ActorDiedError()) is None
    assert MemoryKill.parse(None) is None


def test_a_job_killed_with_a_larger_one_is_restarted():
    fell, large = RestartPolicy(), RestartPolicy()
    fell.record_crash(out_of_memory=False)
    large.record_crash(out_of_memory=True, cause="its process had 5.1 GB")
    assert fell.should_restart
    assert not large.should_restart
    assert large.reason.startswith("out of memory on its node (its process had 5.1 GB). Fix: set fit.recompute or")
    for _ in range(MAX_CRASHES - 1):
        fell.record_crash(out_of_memory=False)
    assert not fell.should_restart
