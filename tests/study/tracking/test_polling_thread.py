"""Tests of the background thread that polls."""

import threading

from study.tracking.polling_thread import PollingThread


def test_it_polls_at_intervals_and_once_more_at_the_end():
    calls, twice = [], threading.Event()

    def poll() -> None:
        calls.append("poll")
        if len(calls) == 2:
            twice.set()

    thread = PollingThread(poll, 0.001, "test")
    thread.start()
    assert twice.wait(5)
    assert thread.stop(lambda: calls.append("last"), 5)
    assert calls[-2:] == ["poll", "last"]


def test_an_interval_is_cut_short_by_the_end():
    calls: list[str] = []
    thread = PollingThread(lambda: calls.append("poll"), 3600, "test")
    thread.start()
    assert thread.stop(lambda: calls.append("last"), 5)
    assert calls == ["poll", "last"]


def test_a_poll_that_hangs_does_not_block_the_end():
    release = threading.Event()
    thread = PollingThread(lambda: bool(release.wait(5)), 0.001, "test")
    thread.start()
    assert not thread.stop(lambda: None, 0.02)
    release.set()
