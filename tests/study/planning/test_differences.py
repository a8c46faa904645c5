"""Differences between two resolved study files."""

import pytest

from study.planning.differences import spec_differences


@pytest.mark.parametrize(
    ("before", "now", "lines"),
    [
        ({"a": {"b": 1, "c": "x"}}, {"a": {"b": 1, "c": "x"}}, []),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["a.b: 1 -> 2"]),
        ({"a": 1.0}, {"a": 1}, []),
        ({"a": [1, 2]}, {"a": [2, 1]}, ["a: [1,2] -> [2,1]"]),
        ({}, {"a": {"b": None}}, ["a.b: absent -> null"]),
        ({"b": 1, "a": 1}, {}, ["a: 1 -> absent", "b: 1 -> absent"]),
        ({}, {"stages": {}}, []),
    ],
)
def test_each_setting_that_differs_is_a_line(before, now, lines):
    assert spec_differences(before, now) == lines
