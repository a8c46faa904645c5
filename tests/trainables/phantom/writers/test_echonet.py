import csv
import filecmp

import pytest

from trainables.phantom import PhantomSettings, write_echonet


def test_tables_are_in_the_published_form(echonet_root):
    assert (echonet_root / "VolumeTracings.csv").read_text().splitlines()[0] == "FileName,X1,Y1,X2,Y2,Frame"
    with (echonet_root / "FileList.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert ",".join(rows[0]) == "FileName,EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split"
    assert sorted(row["Split"] for row in rows) == ["TEST"] * 2 + ["TRAIN"] * 4 + ["VAL"] * 2
    assert {f"{row['FileName']}.avi" for row in rows} == {path.name for path in (echonet_root / "Videos").iterdir()}


def test_a_frame_has_the_long_axis_and_then_twenty_chords_from_apex_to_valve(echonet_root):
    with (echonet_root / "VolumeTracings.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8 * 2 * 21
    for start in range(0, len(rows), 21):
        axis, *chords = ({key: float(row[key]) for key in ("X1", "Y1", "X2", "Y2")} for row in rows[start : start + 21])
        assert len({(row["FileName"], row["Frame"]) for row in rows[start : start + 21]}) == 1
        middles = [(chord["Y1"] + chord["Y2"]) / 2 for chord in chords]
        assert middles == sorted(middles)
        assert middles[0] == pytest.approx(axis["Y1"], abs=4)
        assert middles[-1] == pytest.approx(axis["Y2"], abs=4)


def test_the_same_settings_write_the_same_bytes(tmp_path):
    settings = PhantomSettings(subjects=3, frames=8, size=48)
    for name in ("a", "b"):
        write_echonet(tmp_path / name, settings)
    files = [path.relative_to(tmp_path / "a").as_posix() for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert len(files) == 5
    assert filecmp.cmpfiles(tmp_path / "a", tmp_path / "b", files, shallow=False)[0] == files
