"""Tests of the files that the tracker reads and writes."""

from fake_mlflow import new_folder, new_job, write_epochs

from study.tracking.metrics_file import MetricRow, read_new_rows
from study.tracking.record import RecordFile, RunRecord


def test_only_new_and_complete_lines_are_read(tmp_path):
    _, folder = new_folder(tmp_path)
    job, path = new_job(), folder.job("simclr-trial-0").metrics
    assert read_new_rows(path, 0, 0).rows == []
    write_epochs(folder, job, 1, 2, end="")
    first = read_new_rows(path, 0, 0)
    assert first.rows == [MetricRow("loss", 1.0, 101000, 1)]
    with path.open("a") as file:
        file.write("\n")
    second = read_new_rows(path, first.position, first.epoch)
    assert (second.rows, second.epoch) == ([MetricRow("loss", 0.5, 102000, 2)], 2)
    assert read_new_rows(path, second.position, 2).rows == []


def test_repeated_epochs_and_damaged_lines_are_skipped(tmp_path):
    _, folder = new_folder(tmp_path)
    job, path = new_job(), folder.job("simclr-trial-0").metrics
    write_epochs(folder, job, 1, 3)
    with path.open("a") as file:
        file.write("{not json\n")
    write_epochs(folder, job, 2, 4)
    new = read_new_rows(path, 0, 0)
    assert [row.step for row in new.rows] == [1, 2, 3, 4]
    assert new.position == path.stat().st_size


def test_the_last_record_of_a_job_is_valid_and_a_torn_line_is_skipped(tmp_path):
    _, folder = new_folder(tmp_path)
    file = RecordFile(folder)
    assert file.read() == {}
    file.append("a", RunRecord("r1", "d1"))
    file.append("a", RunRecord("r1", "d1", 10, 2, closed=True))
    path = folder.root / "tracking.jsonl"
    path.write_text(path.read_text() + '{"job": "b", "run')
    file.append("c", RunRecord("r3", "d3"))
    assert file.read() == {"a": RunRecord("r1", "d1", 10, 2, closed=True), "c": RunRecord("r3", "d3")}
