"""Outputs that stages pass on, and which jobs a final job needs."""

from __future__ import annotations

from collections.abc import Mapping

from whole_studies import TINY

from study.config.definition import load_study
from study.planning.datasets import Dataset, unprepared
from study.planning.jobs import Job, ResourceRequest
from study.stages.configuration import Configuration

SPEC = load_study(str(TINY)).spec


def made(digest: str, inputs: Mapping[str, str] | None = None) -> Job:
    return Job(digest, "toy", "toy", None, {}, 0, {}, {}, digest, inputs or {}, "", 1, ResourceRequest())


def test_the_last_job_of_a_stage_makes_its_output():
    configuration = Configuration(SPEC, unprepared)
    configuration.add([made("a"), made("b", {"toy": "a"})], "toy")
    assert configuration.output("toy") == made("b", {"toy": "a"})
    assert configuration.output("labels") is None


def test_a_later_stage_replaces_an_output_and_a_stage_without_jobs_keeps_it():
    configuration = Configuration(SPEC, unprepared)
    for jobs in ([made("a")], [made("b")], []):
        configuration.add(jobs, "labels")
    assert configuration.output("labels") == made("b")


def test_sources_are_in_order_and_without_those_that_nothing_reads():
    configuration = Configuration(SPEC, unprepared)
    first, unused, second = made("first"), made("unused"), made("second", {"x": "first"})
    configuration.add([first], "x")
    configuration.add([unused], "y")
    configuration.add([second], "labels")
    assert configuration.sources_of({"labels": "second"}) == [first, second]
    assert configuration.sources_of({}) == []


def test_a_dataset_that_is_not_named_is_the_studys():
    configuration = Configuration(SPEC, lambda settings: Dataset(str(settings.image_size), "f"))
    assert configuration.dataset(None) == configuration.data == Dataset("32", "f")
