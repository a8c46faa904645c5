import json
import subprocess
import zlib

import pytest

from study.storage.events import CellReopened, TimeSpent, TrialAsked
from study.storage.ledger import FORMAT_VERSION, Ledger, read_ledger
from trainables.common.errors import UserError


def line(record: dict[str, object]) -> bytes:
    body = json.dumps(record).encode()
    return f"{zlib.crc32(body):08x} ".encode() + body + b"\n"


def test_events_are_read_in_order_with_their_times(tmp_path):
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path, lambda: 12.3456)
    asked = ledger.append(TrialAsked("a", 0, {"lr": 1e-4}, {}))
    ledger.append(TimeSpent(60.0, 30.0))
    ledger.close()
    assert asked.time == 12.346
    assert read_ledger(path) == [
        TrialAsked("a", 0, {"lr": 1e-4}, {}, time=12.346),
        TimeSpent(60.0, 30.0, time=12.346),
    ]
    assert Ledger(path, lambda: 0.0).events == read_ledger(path)


def test_a_file_that_does_not_exist_has_no_events(tmp_path):
    assert read_ledger(tmp_path / "ledger.jsonl") == []
    assert not (tmp_path / "ledger.jsonl").exists()


@pytest.mark.parametrize("keep", [1, 20, -1])
def test_an_incomplete_last_line_is_removed_and_writing_continues(tmp_path, keep):
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path, lambda: 0.0)
    first = ledger.append(CellReopened("one"))
    complete = path.stat().st_size
    ledger.append(CellReopened("two" * 50))
    ledger.close()
    data = path.read_bytes()
    path.write_bytes(data[: complete + keep] if keep > 0 else data[:keep])
    assert read_ledger(path) == [first]
    ledger = Ledger(path, lambda: 1.0)
    third = ledger.append(CellReopened("three"))
    ledger.close()
    assert read_ledger(path) == [first, third]


def test_an_incomplete_first_line_is_written_again(tmp_path):
    path = tmp_path / "ledger.jsonl"
    Ledger(path, lambda: 0.0).close()
    complete = path.read_bytes()
    path.write_bytes(complete[:-3])
    assert read_ledger(path) == []
    Ledger(path, lambda: 0.0).close()
    assert path.read_bytes() == complete


def test_damage_before_the_end_is_an_error_that_names_the_line(tmp_path):
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path, lambda: 0.0)
    for name in ("one", "two", "three"):
        ledger.append(CellReopened(name))
    ledger.close()
    path.write_bytes(path.read_bytes().replace(b"two", b"twx"))
    with pytest.raises(UserError, match=r"ledger\.jsonl:3: damaged line .* Fix: restore the file from a backup"):
        read_ledger(path)


def test_the_advice_on_a_damaged_line_leads_back_to_the_events_before_it(tmp_path):
    path = tmp_path / "it's #1" / "ledger.jsonl"
    ledger = Ledger(path, lambda: 0.0)
    for name in ("one", "two", "three"):
        ledger.append(CellReopened(name))
    ledger.close()
    damaged = path.read_bytes().replace(b"two", b"twx")
    path.write_bytes(damaged)
    with pytest.raises(UserError) as refused:
        read_ledger(path)
    subprocess.run(str(refused.value).rpartition("came after them: ")[2], shell=True, check=True)
    assert [event.cell for event in read_ledger(path)] == ["one"]
    assert path.with_name("ledger.jsonl.damaged").read_bytes() == damaged


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            [{"event": "asked", "time": 1.0, "cell": "a", "index": 0, "params": {}, "memory": {}}],
            r": written by an older version of study \(found ledger format 1, expected 2\)\. ",
        ),
        ([{"format": 99}], r": written by a newer version of study \(found ledger format 99, expected 2\)\. "),
        (
            [{"format": FORMAT_VERSION}, {"event": "asked", "time": 1.0}],
            r":2: written by another version of study \(unknown event \(found 'asked', expected one of prior_read, ",
        ),
        (
            [
                {"format": FORMAT_VERSION},
                {"event": "trial_asked", "time": 1.0, "cell": "a", "index": 0, "params": {}, "memory": {}},
            ],
            r":2: written by another version of study \(fields of trial_asked do not match "
            r"\(found cell, index, memory, params, time; expected cell, index, params, system_attrs, time, timing\)",
        ),
    ],
)
def test_a_ledger_of_another_version_is_refused_with_one_message(tmp_path, lines, message):
    path = tmp_path / "ledger.jsonl"
    content = b"".join(map(line, lines))
    path.write_bytes(content)
    for read in (read_ledger, lambda path: Ledger(path, lambda: 0.0)):
        with pytest.raises(
            UserError, match=rf"ledger\.jsonl{message}.*Fix: use that version, or .*study run STUDY --name NAME$"
        ):
            read(path)
    assert path.read_bytes() == content
