import json

import pytest

from study.planning.jobs import Outcome
from study.storage.events import (
    EVENTS,
    CellReopened,
    ConfigurationChosen,
    EpochReported,
    JobFinished,
    JobLost,
    JobRetried,
    PretrainingReused,
    PriorRead,
    ProbeReported,
    SearchPlanned,
    TimeSpent,
    TrialAsked,
    UnsafeName,
    events_of_type,
    from_record,
    to_record,
)
from trainables.common.learning import Learning

FINISHED = JobFinished(
    "a-trial-0", "trial", "a", 0, {"lr": 0.1}, "d1", Outcome("failed", {"loss": 1.5}, 2, 3.5, "out of memory"), time=5.0
)
LEARNED = Learning("learned", "matched views 80.0% (chance 0.8%)", skill=0.9)
EXAMPLES = [
    PriorRead("a", [{"lr": 0.1}], [[0.7]]),
    SearchPlanned("a", 20, 5),
    TrialAsked("a", 0, {"lr": 0.1, "norm": None}, {"tpe:x": [1, 2]}, {"epochs": 3, "every": 1, "before": 0}, time=1.0),
    EpochReported("a-trial-0", "a", 0, 3, 0.75, time=2.0),
    ProbeReported("a", 0, 4, 0.5, time=3.0),
    FINISHED,
    JobRetried.of(FINISHED),
    JobLost.of(FINISHED),
    PretrainingReused("p", "d2", LEARNED),
    ConfigurationChosen("a", None, {}),
    JobFinished("p", "pretext", None, 0, {}, "d2", Outcome("completed", {}, 9, 1.0, learning=LEARNED), time=6.0),
    CellReopened("a"),
    TimeSpent(60.0, 30.0),
]


def test_the_examples_cover_every_event():
    assert {type(event) for event in EXAMPLES} == set(EVENTS.values())


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
def test_an_event_is_the_same_after_a_round_trip_through_json(event):
    assert from_record(json.loads(json.dumps(to_record(event)))) == event


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
def test_a_missing_and_an_unknown_field_are_named(event):
    record = to_record(event)
    missing = next(name for name in record if name not in ("event", "time"))
    with pytest.raises(ValueError, match=f"fields of {record['event']} do not match .*expected .*{missing}"):
        from_record({name: value for name, value in record.items() if name != missing})
    with pytest.raises(ValueError, match=r"found .*surprise.*; expected"):
        from_record({**record, "surprise": 1})


@pytest.mark.parametrize("added", ["learning", "host"])
def test_a_ledger_from_before_a_field_was_added_is_read(added):
    record = to_record(FINISHED)
    del record["outcome"][added]
    assert from_record(record) == FINISHED


def test_the_host_of_a_job_is_kept():
    event = JobFinished("p", "pretext", None, 0, {}, "d2", Outcome("completed", {}, 9, 1.0, host="node7"))
    assert from_record(to_record(event)).outcome.host == "node7"


def test_the_fields_of_an_outcome_are_checked_too():
    record = to_record(FINISHED)
    with pytest.raises(ValueError, match=r"fields of job_finished\.outcome do not match"):
        from_record({**record, "outcome": {"status": "failed"}})


@pytest.mark.parametrize("name", ["../../../victim", "..", ".", "", "a/b", "/etc", "a\0b", None, 3])
@pytest.mark.parametrize("part", ["job", "digest"])
def test_an_identifier_never_leads_out_of_its_folder(name, part):
    for event in (FINISHED, JobRetried.of(FINISHED), JobLost.of(FINISHED)):
        with pytest.raises(UnsafeName, match=rf"\.{part} is .*expected the name of a folder"):
            from_record({**to_record(event), part: name})


def test_events_of_one_type_keep_their_order():
    events = [CellReopened("a"), TimeSpent(1.0, 0.0), CellReopened("b")]
    assert list(events_of_type(events, CellReopened)) == [events[0], events[2]]


def test_a_choice_supersedes_only_replicates_of_its_cell_with_other_settings():
    choice = ConfigurationChosen("a", 1, {"lr": 0.2})

    def finished(kind: str, cell: str, lr: float) -> JobFinished:
        return JobFinished("job", kind, cell, 0, {"lr": lr}, "d", Outcome("completed", {}, 1, 1.0))

    assert choice.supersedes(finished("replicate", "a", 0.1))
    assert not choice.supersedes(finished("replicate", "a", 0.2))
    assert not choice.supersedes(finished("replicate", "b", 0.1))
    assert not choice.supersedes(finished("trial", "a", 0.1))
