"""Volumes of test subjects, and their agreement with the true ones."""

import pytest
from toys import toy_store

from study.stages.results.volumes import volume_metrics, volume_table
from trainables.downstream.test_metrics import Volumes

MEASURED = [
    Volumes(0, "4CH", (110.0, 100.0), (44.0, 40.0)),
    Volumes(2, "biplane", (210.0, 200.0), (84.0, 80.0)),
    Volumes(5, "4CH", (160.0, 150.0), (64.0, 60.0)),
]


def test_metrics_compare_predicted_with_true():
    metrics = volume_metrics(MEASURED)
    assert metrics["test/edv/bias"] == pytest.approx(10)
    assert metrics["test/edv/mae"] == pytest.approx(10)
    assert metrics["test/esv/correlation"] == pytest.approx(1)
    assert metrics["test/ef/bias"] == pytest.approx(0)


def test_what_is_not_finite_is_omitted():
    assert "test/edv/correlation" not in volume_metrics(MEASURED[:1])
    assert "test/edv/bias" in volume_metrics(MEASURED[:1])


def test_the_table_has_a_row_for_each_subject():
    header, *rows = volume_table(MEASURED[:2], toy_store()).splitlines()
    assert header == "subject,view,predicted_edv,true_edv,predicted_esv,true_esv,predicted_ef,true_ef"
    assert rows[0] == "0,4CH,110.0,100.0,44.0,40.0,60.0,60.0"
    assert rows[1].startswith("2,biplane,210.0,200.0,")
