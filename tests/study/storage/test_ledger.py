import pytest

from study.storage.ledger import Ledger, read_ledger
from trainables.common.errors import UserError


def test_events_come_back_in_order(tmp_path):
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path, lambda: 12.3456)
    ledger.append("asked", cell="a", params={"lr": 1e-4})
    ledger.append("finished", job="a-trial-0")
    ledger.close()
    assert read_ledger(path) == [
        {"event": "asked", "time": 12.346, "cell": "a", "params": {"lr": 1e-4}},
        {"event": "finished", "time": 12.346, "job": "a-trial-0"},
    ]


@pytest.mark.parametrize("keep", [1, 20, -1])
def test_a_torn_last_line_is_cut_off_and_writing_goes_on(tmp_path, keep):
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path, lambda: 0.0)
    ledger.append("one")
    whole = path.stat().st_size
    ledger.append("two", value="x" * 50)
    ledger.close()
    data = path.read_bytes()
    path.write_bytes(data[: whole + keep] if keep > 0 else data[:keep])
    assert [event["event"] for event in read_ledger(path)] == ["one"]
    ledger = Ledger(path, lambda: 1.0)
    ledger.append("three")
    ledger.close()
    assert [event["event"] for event in read_ledger(path)] == ["one", "three"]


def test_damage_before_the_end_is_an_error_that_names_the_line(tmp_path):
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path, lambda: 0.0)
    for name in ("one", "two", "three"):
        ledger.append(name)
    ledger.close()
    path.write_bytes(path.read_bytes().replace(b"two", b"twx"))
    with pytest.raises(UserError, match=r"ledger\.jsonl:2: this ledger line is damaged"):
        read_ledger(path)
