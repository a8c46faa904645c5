"""The watch over a cluster's head."""

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from study.execution.head_watch import CHECK_INTERVAL, answers, watched_head


def listening() -> tuple[socket.socket, str]:
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, f"127.0.0.1:{listener.getsockname()[1]}"


def test_a_head_that_answers_is_left_alone_and_one_that_dies_is_reported_once():
    listener, address = listening()
    lost, reported = [], threading.Event()

    def on_loss(where: str) -> None:
        lost.append(where)
        reported.set()

    with watched_head(address, 0.0, on_loss):
        assert answers(address)
        assert not reported.wait(2 * CHECK_INTERVAL)
        listener.close()
        assert reported.wait(10 * CHECK_INTERVAL)
        time.sleep(2 * CHECK_INTERVAL)
    assert lost == [address]


def test_a_session_that_ends_is_watched_no_longer():
    listener, address = listening()
    lost: list[str] = []
    with watched_head(address, 0.0, lost.append):
        pass
    listener.close()
    time.sleep(3 * CHECK_INTERVAL)
    assert lost == []
    assert not any(thread.name == "head watch" for thread in threading.enumerate())


def test_a_lost_head_ends_the_process_and_those_below_with_one_message():
    program = """
import subprocess, sys
from study.execution.head_watch import end_process
below = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(below.pid, flush=True)
end_process("the head is lost")
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (4, "error: the head is lost\n")
    pid = int(ended.stdout)
    until = time.monotonic() + 10
    while _runs(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    """Return True for a process that is neither gone nor waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
