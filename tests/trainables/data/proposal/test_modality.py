import pytest
from pydicom import examples

from trainables.data.proposal.modality import guess_modality


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("prostate", "T2"), "mr"),
        (("Task05_MRI", "ADC"), "mr"),
        (("BUSI", "breast_ultrasound"), "ultrasound"),
        (("CT", "liver"), ""),
        (("business", "image"), ""),
    ],
)
def test_words_of_names_tell_the_modality(tmp_path, names, expected):
    assert guess_modality(tmp_path, ["a.png"], names) == expected


def test_a_header_tells_more_than_names(tmp_path):
    for example, modality in ((examples.mr, "mr"), (examples.ct, "")):
        example.save_as(tmp_path / "a.dcm")
        assert guess_modality(tmp_path, ["b.png", "a.dcm"], ["ultrasound"]) == modality


def test_a_damaged_header_tells_nothing(tmp_path):
    (tmp_path / "a.dcm").write_bytes(b"\0" * 50)
    assert guess_modality(tmp_path, ["a.dcm"], ["mr"]) == ""
