"""Tests of the progress display, with a console in memory and a clock that tests set."""

import io

import pytest
from rich.console import Console

from study.progress import HEARTBEAT, RECORD_INTERVAL, Progress, key_metric


class Clock:
    """Clock that only a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def text():
    return io.StringIO()


@pytest.fixture
def progress(clock, text):
    with Progress(Console(file=text, width=80), clock) as made:
        yield made


def test_without_a_terminal_a_job_has_a_line_at_its_start_and_end(progress, text):
    progress.plan(0, 2)
    progress.job_started("a", "simclr · trial 0", 3)
    progress.job_finished("a", "completed", {"val/dice": 0.51234, "loss": 2.0}, 7.04, None)
    progress.job_started("b", "simclr · trial 1", 3)
    progress.job_finished("b", "failed", {}, 1.0, "[out of memory]")
    assert text.getvalue().splitlines() == [
        "started   simclr · trial 0",
        "completed simclr · trial 0  val/dice 0.5123  7.0 s  [1/2]",
        "started   simclr · trial 1",
        "failed    simclr · trial 1    1.0 s  [2/2]: [out of memory]",
    ]


def test_epochs_are_printed_once_a_heartbeat(progress, clock, text):
    progress.job_started("a", "A", 9)
    progress.job_started("b", "B", 9)
    before = len(text.getvalue().splitlines())
    progress.job_report("a", 1, {})
    assert len(text.getvalue().splitlines()) == before
    clock.now += HEARTBEAT + 1
    progress.job_report("b", 2, {})
    progress.job_report("a", 3, {})
    assert text.getvalue().splitlines()[before:] == ["A 1/9; B 2/9"]


def test_a_report_of_an_unknown_job_is_ignored(progress):
    progress.job_report("unknown", 1, {})
    assert progress.running == {}


def test_the_remaining_time_follows_the_pace_of_this_launch(progress, clock):
    progress.plan(4, 10)
    assert progress.remaining() is None
    progress.job_started("a", "A", 1)
    clock.now += 20
    progress.job_finished("a", "completed", {}, 20.0, None)
    assert progress.remaining() == 20 * 5
    clock.now += 20
    progress.job_finished("b", "completed", {}, 20.0, None)
    assert progress.remaining() == 20 * 4


def test_jobs_beyond_the_plan_raise_the_total(progress):
    progress.plan(0, 1)
    for job in "abc":
        progress.job_started(job, job, 1)
    progress.job_finished("a", "completed", {}, 1.0, None)
    assert (progress.done, progress.total) == (1, 3)


def test_a_phase_prints_its_steps_at_intervals_and_at_its_end(progress, clock, text):
    with progress.phase("CAMUS") as advance:
        advance("decoding", 1, 3)
        clock.now += HEARTBEAT
        advance("decoding", 2, 3)
        advance("decoding", 3, 3)
    assert text.getvalue().splitlines() == ["CAMUS: decoding 2/3", "CAMUS: decoding 3/3"]


def test_on_a_terminal_a_panel_replaces_the_lines(clock):
    text = io.StringIO()
    with Progress(Console(file=text, width=100, force_terminal=True), clock) as progress:
        progress.plan(0, 2)
        progress.job_started("a", "simclr", 3)
        assert "started" not in text.getvalue()
        progress.job_report("a", 2, {"loss": 0.5})
        shown = Console(width=100, record=True, file=io.StringIO())
        shown.print(progress._panel())
        panel = shown.export_text()
    assert "0/2" in panel
    assert "2/3" in panel
    assert "loss 0.5000" in panel


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ({"loss": 1.0, "val/dice": 0.5, "test/dice": 0.25}, "test/dice 0.2500"),
        ({"loss": 1.0, "val/loss": 0.5}, "val/loss 0.5000"),
        ({"other": 1.0}, ""),
    ],
)
def test_the_key_metric_is_the_first_that_there_is(metrics, expected):
    assert key_metric(metrics) == expected


@pytest.mark.parametrize("width", [80, 160])
def test_a_metric_is_whole_on_the_panel(clock, width):
    text = io.StringIO()
    console = Console(file=text, width=width, force_terminal=True)
    progress = Progress(console, clock)
    progress.plan(10_000, 20_000)
    progress.job_started("a", "a_pretext_method_with_a_long_name 0.05 · replicate 12", 1000)
    progress.job_report("a", 100, {"strength": 0.12345})
    progress.job_started("b", "simclr 0.05 · trial 1", 1000)
    progress.job_report("b", 1000, {"val/dice": 0.98765})
    console.print(progress._panel())
    assert "strength 0.1235" in text.getvalue()
    assert "val/dice 0.9877" in text.getvalue()
    assert "1000/1000" in text.getvalue()


def test_running_jobs_are_recorded_when_they_have_changed_and_not_too_often(clock):
    recorded = []
    progress = Progress(Console(quiet=True), clock, record=lambda jobs: recorded.append([job.epoch for job in jobs]))
    progress.flush()
    progress.job_started("a", "a", 3)
    progress.flush()
    progress.job_report("a", 1, {})
    progress.flush()
    assert recorded == [[0]]
    clock.now += RECORD_INTERVAL
    progress.flush()
    progress.flush()
    clock.now += RECORD_INTERVAL
    progress.flush()
    assert recorded == [[0], [1]]


def test_a_reused_pretraining_counts_as_ended_but_not_for_the_time_left(progress, clock, text):
    progress.plan(0, 3)
    progress.job_reused("pretext-simclr-1a2b", "learned: matched views 80%")
    assert text.getvalue() == "reused    pretext-simclr-1a2b  [1/3]: learned: matched views 80%\n"
    assert progress.remaining() is None
    clock.now += 10
    progress.job_finished("a", "completed", {}, 10.0, None)
    assert progress.remaining() == 10.0
