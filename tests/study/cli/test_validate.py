"""`study validate` refuses what can be known without training anything."""

from pathlib import Path

import pytest
from whole_studies import call

TINY = str(Path(__file__).parent.parent / "tiny.yaml")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("pretext.fit.epochs=0", "epochs is 0, expected a whole number from 1 up"),
        ("downstream.fit.batch_size=-4", "batch_size is -4, expected a whole number from 1 up"),
        ("downstream.fit.epochs=9000000", "expected at most 1,000,000"),
        ("data.image_size=100000", "expected a whole number from 8 to 4096"),
        ("downstream.fit.batch_size=1", "cannot be trained on 1 image(s)"),
        ("pretext.method={name: imagenet, weights: /no/such/file.pth}", "cannot start from ImageNet weights"),
        ("factors={labels: {all: {}, many: {downstream.labels: 500}}}", "the training split has 12 labelled subjects"),
        ("name=" + 300 * "n", "name has 300 characters, expected at most 200"),
        ("factors.kind={a: {}, b: {}}", "which every job's record has already"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_2(capsys, override, message):
    sets = [override]
    if override.startswith("pretext.method"):
        sets.append("factors={pretext.method: null}")
    code, text = call(capsys, "validate", TINY, *(word for each in sets for word in ("--set", each)))
    assert code == 2, text
    assert message in " ".join(text.split())
    assert "Traceback" not in text


def test_a_missing_file_of_weights_is_found(capsys):
    sets = (
        "factors={pretext.method: null}",
        "network.backbone=resnet18",
        "pretext.method={name: imagenet, weights: /no/file.pth}",
    )
    code, text = call(capsys, "validate", TINY, *(word for each in sets for word in ("--set", each)))
    assert code == 2
    assert "there is no file /no/file.pth" in text


def test_a_valid_study_is_valid(capsys):
    assert call(capsys, "validate", TINY)[0] == 0
