"""Damaged result files of a replicate are named, with what to do."""

import io
from pathlib import Path

import numpy as np
import pytest

from study.storage.job_files import read_predictions, read_test
from trainables.common.errors import DataError

GOOD = "subject,row,phase,dice\n007,3,ED,0.5\n"


def whole_predictions() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, rows=np.arange(2), masks=np.random.default_rng(0).integers(0, 2, (2, 64, 64), np.uint8))
    return file.getvalue()


def place(root: Path, name: str) -> Path:
    path = root / "studies" / "mine" / "jobs" / "a-replicate-0" / name
    path.parent.mkdir(parents=True)
    return path


def test_whole_files_are_read(tmp_path):
    path = place(tmp_path, "predictions.npz")
    path.write_bytes(whole_predictions())
    assert {row: mask.shape for row, mask in read_predictions(path).items()} == {0: (64, 64), 1: (64, 64)}
    path.with_name("test.csv").write_text(GOOD)
    assert read_test(path.with_name("test.csv")).to_dict("records") == [
        {"subject": "007", "row": 3, "phase": "ED", "dice": 0.5}
    ]


def overwritten(content: bytes) -> bytes:
    return content[:100] + b"\xff" * 200 + content[300:]


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b"text", overwritten])
def test_damaged_predictions_say_what_to_do(tmp_path, damage):
    path = place(tmp_path, "predictions.npz")
    path.write_bytes(damage(whole_predictions()))
    with pytest.raises(DataError, match=f"{path}: .*Fix: study repair mine"):
        read_predictions(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\x00", b"subject,row\n1,2\n", GOOD.encode() + b"007,x\n", GOOD.encode() + b"008,4,ES,?\n"],
)
def test_a_damaged_table_says_what_to_do(tmp_path, content):
    path = place(tmp_path, "test.csv")
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{path}: .*Fix: study repair mine"):
        read_test(path)


@pytest.mark.parametrize("read", [read_test, read_predictions])
def test_a_missing_file_says_what_to_do(tmp_path, read):
    with pytest.raises(DataError, match=r"is missing, .*Fix: study repair mine"):
        read(place(tmp_path, "file"))
