import contextlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainables.common.errors import DataError
from trainables.data.layouts.ted import Ted
from trainables.data.readers.metaimage_writer import write_metaimage
from trainables.data.settings import DataSettings
from trainables.data.store.check import check
from trainables.phantom import PHANTOMS, PhantomSettings
from trainables.phantom.imaging.cine import draw_cine
from trainables.phantom.writers.camus import truth

PHANTOM = PhantomSettings(subjects=3, frames=8, size=40, seed=6)


@pytest.fixture
def root(tmp_path):
    PHANTOMS["ted"].write(tmp_path, PHANTOM, None)
    return tmp_path


def issues(root):
    report = check(DataSettings(layout=Ted()), root)
    return {issue.kind: (issue.file, issue.skipped) for issue in report.issues}


def test_every_frame_has_its_mask_and_the_cycle_its_ends(root):
    for record in Ted().scan(root).records:
        cine, pixels = draw_cine(PHANTOM, record.subject, "4CH"), Ted().read(root, record)
        np.testing.assert_array_equal(pixels.images[:, 0], cine.images)
        assert len(pixels.masks) == record.frames == 8
        for frame, mask in pixels.masks.items():
            expected = truth(cine, frame)
            np.testing.assert_array_equal(mask, np.where(expected > 2, 0, expected))
        ends = {frame: phase for frame, phase in record.labelled.items() if phase}
        assert ends == {cine.end_diastole: "ED", cine.end_systole: "ES"}
        assert record.spacing == pytest.approx((cine.millimetres / 40,) * 2, rel=1e-5)
        assert record.clinical == {"ef": round(cine.ejection_fraction)}


def test_planted_faults_are_named(root):
    one, two, three = (root / "database" / f"patient00{number}" for number in (1, 2, 3))
    (one / "patient001_4CH_sequence_gt.mhd").unlink()
    raw = two / "patient002_4CH_sequence.raw"
    raw.write_bytes(raw.read_bytes()[:-100])
    write_metaimage(three / "patient003_4CH_sequence_gt.mhd", np.full((40, 40, 8), 3, np.uint8), (1, 1, 1))
    (three / "patient003_4CH_info.cfg").write_text("ED: 0\nES: 99\n")
    found = issues(root)
    assert found["missing mask"] == ("database/patient001/patient001_4CH_sequence.mhd", "mask")
    assert found["unreadable sequence"] == ("database/patient002/patient002_4CH_sequence.mhd", "sequence")
    assert found["unknown label"] == ("database/patient003/patient003_4CH_sequence_gt.mhd", "mask")
    assert found["phases missing"] == ("database/patient003/patient003_4CH_info.cfg", "")
    (two / "patient002_4CH_sequence.mhd").write_text("DimSize = no")
    assert issues(root)["unreadable header"] == ("database/patient002/patient002_4CH_sequence.mhd", "sequence")
    (two / "patient002_4CH_sequence.mhd").unlink()
    assert issues(root)["missing image"] == ("database/patient002/patient002_4CH_sequence.mhd", "sequence")


@pytest.mark.parametrize(
    ("shape", "value", "kind"),
    [((40, 39, 8), 1, "mask size differs from the image"), ((40, 40, 8), 0, "empty mask")],
)
def test_masks_that_cannot_be_used(root, shape, value, kind):
    path = root / "database/patient001/patient001_4CH_sequence_gt.mhd"
    write_metaimage(path, np.full(shape, value, np.uint8), (1, 1, 1))
    found = [issue for issue in check(DataSettings(layout=Ted()), root).issues if issue.kind == kind]
    assert [issue.place for issue in found] == [f"frame {frame}" for frame in range(8)]
    assert {(issue.file, issue.skipped) for issue in found} == {(path.relative_to(root).as_posix(), "mask")}


def test_an_image_without_spacing_or_of_one_frame(root):
    path = root / "database/patient001/patient001_4CH_sequence.mhd"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if not line.startswith("ElementSpacing")))
    assert issues(root)["spacing missing"] == ("database/patient001/patient001_4CH_sequence.mhd", "")
    write_metaimage(path, np.ones((40, 40), np.uint8), (1, 1))
    assert issues(root)["unreadable header"] == ("database/patient001/patient001_4CH_sequence.mhd", "sequence")
    with pytest.raises(DataError, match="no patients in database/, expected TED"):
        Ted().scan(root / "database")


def test_masks_of_another_length(root):
    path = root / "database/patient001/patient001_4CH_sequence_gt.mhd"
    write_metaimage(path, np.ones((40, 40, 5), np.uint8), (1, 1, 1))
    assert issues(root)["mask size differs from the image"][1] == "mask"


VALUE = st.sampled_from(["0", "1", "8", "99", "-1", "2.5", "1e300", "nan"]) | st.text(max_size=5)


@settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.one_of(st.binary(max_size=60), st.lists(st.tuples(st.sampled_from(["ED", "ES", "EF"]), VALUE))))
def test_no_cfg_makes_the_reader_crash(root, content):
    path = root / "database/patient001/patient001_4CH_info.cfg"
    lines = content if isinstance(content, bytes) else "".join(f"{key}: {value}\n" for key, value in content).encode()
    path.write_bytes(lines)
    with contextlib.suppress(DataError):
        assert len(Ted().scan(root).records) == 3
