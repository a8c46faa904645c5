"""`study data`: what a user sees of a dataset before any study."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from study.cli.app import app
from study.cli.main import guarded
from trainables.phantom import PHANTOMS, PhantomSettings, write_echonet

TINY = str(Path(__file__).parent.parent / "tiny.yaml")


@pytest.fixture
def root(tmp_path) -> Path:
    write_echonet(tmp_path / "data", PhantomSettings(subjects=6, frames=8, size=32, fractions=(0.5, 0.25, 0.25)))
    return tmp_path / "data"


def run(capsys, tmp_path, *arguments: str) -> tuple[int, str, str]:
    code = guarded(lambda: app(["data", *arguments, "--workspace", str(tmp_path / "ws")], standalone_mode=False))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_clean_dataset_is_accepted(capsys, tmp_path, root):
    code, out, err = run(capsys, tmp_path, "check", f"echonet={root}")
    assert code == 0
    assert "6 sequences; subjects: train 3 (3 labelled)" in out
    assert err.splitlines() == ["EchoNet-Dynamic: checking: reading files 6/6"]
    assert out.strip().endswith("accepted")


def test_each_fault_is_listed_and_too_many_refuse(capsys, tmp_path, root):
    gone, torn, *_ = sorted((root / "Videos").iterdir())
    gone.unlink()
    torn.write_bytes(torn.read_bytes()[:3000])
    code, out, err = run(capsys, tmp_path, "check", f"echonet={root}")
    assert code == 2
    assert f": Videos/{gone.name} is listed but is not there (skipped: sequence)" in out
    assert "loss: FileList.csv, row " in out
    assert f"damage: Videos/{torn.name}: cannot be decoded" in out
    assert "refused:" in err
    assert "on_error: skip" in err
    lenient = ("--set", "on_error=skip", "--set", "tolerance=0.5")
    assert run(capsys, tmp_path, "check", f"echonet={root}", *lenient)[0] == 0
    code, out, _ = run(capsys, tmp_path, "check", f"echonet={root}", "--json")
    (found,) = json.loads(out)
    assert code == 2
    assert found["accepted"] is False
    assert {issue["kind"] for issue in found["issues"]} == {"missing video", "unreadable sequence"}


def test_prepare_decodes_once_and_says_what_there_is(capsys, tmp_path, root):
    command = ("prepare", f"echonet={root}", "--set", "image_size=24", "--json")
    (first,) = json.loads(run(capsys, tmp_path, *command)[1])
    assert sum(first["labelled_frames"].values()) == 12
    assert first["classes"] == ["background", "lv"]
    changed = (Path(first["folder"]) / "images.npy").stat().st_mtime_ns
    (second,) = json.loads(run(capsys, tmp_path, *command)[1])
    assert second == first
    assert (Path(second["folder"]) / "images.npy").stat().st_mtime_ns == changed


def test_show_draws_a_sheet_without_identifiers_in_its_name(capsys, tmp_path, root):
    code, out, _ = run(capsys, tmp_path, "show", f"echonet={root}", "--out", str(tmp_path / "s.png"), "--count", "4")
    assert code == 0
    assert [Path(line).name for line in out.split()] == ["s.png", "s.pdf"]
    picture = cv2.imread(str(tmp_path / "s.png"))
    red, green, blue = (picture[..., channel].astype(int) for channel in (2, 1, 0))
    assert ((red - green > 100) & (red - blue > 100)).sum() > 100  # outlines


def test_show_creates_no_folder(capsys, tmp_path, root):
    missing = tmp_path / "nope"
    code, _, err = run(capsys, tmp_path, "show", f"echonet={root}", "--out", str(missing / "deep" / "x.png"))
    assert code == 2
    assert f"the folder {missing / 'deep'} does not exist" in err
    assert not missing.exists()


def test_splits_without_labels_warn_or_refuse_by_the_use_of_the_dataset(capsys, tmp_path, root):
    alone = ("--set", "split=fractions", "--set", "fractions=[1, 0, 0]")
    code, out, err = run(capsys, tmp_path, "check", f"echonet={root}", *alone)
    assert code == 0
    assert out.strip().endswith("accepted")
    assert "warning: can be used for pretraining only" in err
    assert "no labelled subject in val, test" in err
    data = ("--data", f"echonet={root}", "--set", "data.split=fractions", "--set", "data.fractions=[1, 0, 0]")
    code, _, err = run(capsys, tmp_path, "check", TINY, *data)
    assert code == 2
    assert "no labelled subject in val, test" in err
    code, _, err = run(capsys, tmp_path, "check", f"echonet={root}", "--set", "views=[2CH]")
    assert code == 2
    assert "no sequence of view '2CH'" in err


def test_the_datasets_of_a_study(capsys, tmp_path):
    code, out, _ = run(capsys, tmp_path, "check", TINY)
    assert code == 0
    assert "EchoNet-Dynamic: " in out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("check", "ecconet=/x"), "did you mean 'echonet'"),
        (("check", "echonet=/no/such/folder"), "/no/such/folder: the folder does not exist"),
        (("show", "echonet=/x", "--set", "image_sise=3"), "did you mean 'image_size'"),
        (("prepare", "camus=/x", "--set", "layout.partition=folds"), "unknown partition 'folds'"),
        (("check", "acdc=/no/such/folder"), "/no/such/folder: the folder does not exist"),
        (("check", "no_such_study"), "no_such_study"),
        (("show", TINY, "--out", "sheet.txt"), "unknown suffix (found '.txt', expected .png or .pdf)"),
        (("show", TINY, "--out", "sheet"), "unknown suffix (found none, expected .png or .pdf)"),
    ],
)
def test_mistakes_are_one_message(capsys, tmp_path, arguments, text):
    code, _, err = run(capsys, tmp_path, *arguments)
    assert code == 2
    assert text in err
    assert "Traceback" not in err


def test_views_of_a_study_are_drawn_and_a_wrong_place_is_named(capsys, tmp_path):
    figure = tmp_path / "views.png"
    few = ("views", TINY, "--count", "2", "--views", "2")
    code, out, _ = run(capsys, tmp_path, *few, "--out", str(figure), "--set", "factors.pretext.method=[random, masked]")
    assert (code, out.split()[1::2]) == (0, [str(figure), str(figure.with_suffix(".pdf"))])
    assert cv2.imread(str(figure)).shape[1] > 500
    code, _, err = run(capsys, tmp_path, *few, "--out", str(tmp_path / "none" / "views.png"))
    assert code == 2
    assert "does not exist" in err
    code, _, err = run(capsys, tmp_path, *few, "--set", "factors.pretext.method=[random]")
    assert code == 2
    assert "no cell pretrains" in err


def test_a_refused_dataset_is_shown_with_its_faults_marked(capsys, tmp_path, root):
    torn = sorted((root / "Videos").iterdir())[1]
    torn.write_bytes(torn.read_bytes()[:500])
    code, out, err = run(capsys, tmp_path, "show", f"echonet={root}", "--out", str(tmp_path / "s.png"))
    assert code == 0
    assert "refused:" in err
    assert torn.name in err
    assert [Path(line).name for line in out.split()] == ["s.png", "s.pdf"]
    red, green, blue = (cv2.imread(str(tmp_path / "s.png"))[..., channel].astype(int) for channel in (2, 1, 0))
    assert ((red - green > 200) & (blue - green > 200)).sum() > 500  # the colour of faults
    assert ((red - green > 100) & (red - blue > 100)).sum() > 100  # outlines of the others
    gone = run(capsys, tmp_path, "show", f"echonet={tmp_path / 'nowhere'}")
    assert gone[0] == 2
    assert "the folder does not exist" in gone[2]


def test_content_of_files_never_reaches_the_terminal_as_it_is(capsys, tmp_path, root):
    evil = "\x1b[31mEVIL\x1b]0;t\x07 [bold]:skull:[/] \u202e"
    table = root / "FileList.csv"
    table.write_text(table.read_text() + f"{evil},60,40,60,32,32,50,8,TRAIN\n")
    for command in (
        ("check", f"echonet={root}"),
        ("prepare", f"echonet={root}"),
        ("check", f"echonet={root}", "--json"),
    ):
        code, out, err = run(capsys, tmp_path, *command)
        assert code == 2
        assert not set(out + err) & set("\x1b\x07\u202e")
        assert "EVIL" in out + err
        assert ":skull:" in out + err


def test_damaged_frames_are_found_by_check_and_by_prepare(capsys, tmp_path, root):
    (made,) = json.loads(run(capsys, tmp_path, "prepare", f"echonet={root}", "--json")[1])
    images = Path(made["folder"]) / "images.npy"
    content = bytearray(images.read_bytes())
    content[9000:14000] = bytes(255 - value for value in content[9000:14000])
    images.write_bytes(content)
    for command in ("check", "prepare"):
        code, _, err = run(capsys, tmp_path, command, f"echonet={root}")
        assert code == 2
        assert "the stored frames have changed since they were written (found images.npy from byte 0)" in err


def test_validate_reads_the_data_that_it_is_given(capsys, root):
    def validate(*arguments: str) -> tuple[int, str]:
        code = guarded(lambda: app(["validate", TINY, *arguments], standalone_mode=False))
        return code, capsys.readouterr().err

    assert validate("--data", f"echonet={root}")[0] == 0
    code, err = validate("--data", f"echonet={root}", "--set", "factors.downstream.labels=[100]")
    assert code == 2
    assert "downstream.labels is 100, the training split has 3 labelled subjects" in err
    for video in (root / "Videos").iterdir():
        video.write_bytes(video.read_bytes()[:300])
    code, err = validate("--data", f"echonet={root}")
    assert code == 2
    assert "6 damaged of 6 sequences" in err


def test_check_states_the_axis_of_the_slices(capsys, tmp_path):
    root = tmp_path / "volumes"
    PHANTOMS["decathlon_prostate"].write(root, PhantomSettings(subjects=6, size=32, slices=4), None)
    assert "\nslices: along the third axis in 6 volumes\n" in run(capsys, tmp_path, "check", f"decathlon={root}")[1]
    command = ("check", f"decathlon={root}", "--set", "layout.slice_axis=0")
    out = run(capsys, tmp_path, *command)[1]
    assert "\nslices: along the first axis in 6 volumes\n" in out
    assert "note: slices are taken along the first axis in 6 volumes" in out
    (found,) = json.loads(run(capsys, tmp_path, *command, "--json")[1])
    assert found["slice_axes"] == {"first": 6}


def test_notes_that_say_the_same_are_one_line(capsys, tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(12):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((16, 16), number, np.uint8))
    (folder / "manifest.csv").write_text("subject,image\n" + "".join(f"{n},{n}.png\n" for n in range(12)))
    _, printed, _ = run(capsys, tmp_path, "check", f"manifest={folder}")
    assert printed.count("no pixel spacing") == 1
    assert "(found 12: 0.png, 1.png, 2.png, ...)" in printed
    _, printed, _ = run(capsys, tmp_path, "check", f"manifest={folder}", "--json")
    assert printed.count("no pixel spacing") == 12
