"""The file of a job's metrics."""

import json

from study.execution.metrics_log import MetricsLog
from study.storage.workspace import JobFolder


def test_each_epoch_is_a_line_with_resource_usage_and_the_callback_gets_the_metrics_alone(tmp_path):
    seen = []
    log = MetricsLog(JobFolder(tmp_path / "job"), lambda epoch, metrics: seen.append((epoch, dict(metrics))))
    log(1, {"loss": 0.5})
    log(2, {"loss": 0.25})
    lines = [json.loads(line) for line in JobFolder(tmp_path / "job").metrics.read_text().splitlines()]
    assert [(line["epoch"], line["metrics"]["loss"]) for line in lines] == [(1, 0.5), (2, 0.25)]
    assert all(line["metrics"]["system/system_memory_usage_megabytes"] > 1 for line in lines)
    assert seen == [(1, {"loss": 0.5}), (2, {"loss": 0.25})]


def test_a_log_continues_the_file_of_an_earlier_attempt(tmp_path):
    for epoch in (1, 2):
        MetricsLog(JobFolder(tmp_path))(epoch, {})
    assert len((JobFolder(tmp_path)).metrics.read_text().splitlines()) == 2
