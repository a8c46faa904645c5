import os
import signal
from itertools import islice

import pytest

from trainables.common.errors import DataError
from trainables.data.records import SequenceRecord
from trainables.data.store.parallel import ProcessDied, parallel_map

CLIPS = [SequenceRecord(f"s{number}", f"q{number}", "4CH") for number in range(40)]


def name_and_process(record: SequenceRecord) -> tuple[str, int]:
    return record.sequence, os.getpid()


def torn(record: SequenceRecord) -> str:
    if record.sequence == "q3":
        raise DataError("q3.avi: truncated")
    return record.sequence


def killed(record: SequenceRecord) -> str:
    if record.sequence == "q3":
        os.kill(os.getpid(), signal.SIGKILL)
    return record.sequence


def test_a_killed_process_is_an_error_that_names_a_file_and_not_a_traceback():
    with pytest.raises(ProcessDied, match=r"q\d+: a decoding process died"):
        list(parallel_map(killed, CLIPS, 2))


def test_one_worker_runs_lazily_in_this_process():
    asked = []
    found = parallel_map(lambda record: asked.append(record.sequence), CLIPS, 1)
    assert list(islice(found, 2)) == [None, None]
    assert asked == ["q0", "q1"]


def test_little_work_starts_no_process():
    assert {process for _, process in parallel_map(name_and_process, CLIPS, None)} == {os.getpid()}


def test_other_processes_give_results_in_order_and_an_error_as_it_was():
    found = list(parallel_map(name_and_process, CLIPS, 2))
    assert [name for name, _ in found] == [record.sequence for record in CLIPS]
    assert os.getpid() not in {process for _, process in found}
    with pytest.raises(DataError, match=r"q3\.avi: truncated"):
        list(parallel_map(torn, CLIPS, 2))
