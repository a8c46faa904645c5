"""`study evaluate` on networks with random weights; `test_predict.py` has its scores."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from study.cli.app import app
from study.cli.main import guarded
from study.storage.workspace import StudyFolder, Workspace
from tests.fake_trained import write_trained
from trainables.phantom import PhantomSettings, write_echonet


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> StudyFolder:
    return write_trained(tmp_path_factory.mktemp("ws"), replicates=2)


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> Path:
    """Return a dataset that the study has not seen."""
    root = tmp_path_factory.mktemp("other")
    write_echonet(root, PhantomSettings(subjects=3, frames=8, size=48, seed=9))
    return root


def evaluate(capsys, folder: StudyFolder, *arguments: object) -> tuple[int, str]:
    """Return the exit code and all that is printed, its white space made single spaces."""
    words = ["evaluate", "fake", *map(str, arguments), "--workspace", str(folder.workspace.root)]
    code = guarded(lambda: app(words, standalone_mode=False)) or 0
    captured = capsys.readouterr()
    return code, " ".join((captured.out + captured.err).split())


def test_a_second_dataset_is_refused(folder, other, tmp_path, capsys):
    data = [f"echonet={other}", f"echonet={tmp_path}"]
    code, text = evaluate(capsys, folder, "--data", data[0], "--data", data[1], "--out", tmp_path / "out")
    assert code == 2
    assert f"--data: found {data[0]}, {data[1]}, expected one. Fix: call `study evaluate` for each dataset" in text
    assert not (tmp_path / "out").exists()


def test_cells_without_a_reference_are_not_compared_and_the_reason_is_printed(folder, other, tmp_path, capsys):
    shutil.copytree(folder.workspace.root, tmp_path / "ws")
    copy = Workspace(tmp_path / "ws").existing_study("fake")
    copy.plan.write_text(copy.plan.read_text().replace('"random"', '"scratch"'))  # all but the key of the cell
    asked = ("--data", f"echonet={other}", "--all-cells", "--out")
    code, text = evaluate(capsys, copy, *asked, tmp_path / "out")
    assert code == 0, text
    assert "note: no differences: the study has neither a level 'random' nor" in text
    assert not (tmp_path / "out/differences.csv").exists()
    code, text = evaluate(capsys, folder, *asked, tmp_path / "compared")
    assert code == 0, text
    assert "note: " not in text
    assert (tmp_path / "compared/differences.csv").exists()


def test_results_of_other_cells_data_or_commands_are_not_mixed(folder, other, tmp_path, capsys):
    out, more = tmp_path / "out", tmp_path / "more"
    write_echonet(more, PhantomSettings(subjects=2, frames=8, size=48, seed=3))
    random, simclr = (("--cell", f"method={method}") for method in ("random", "simclr"))
    data = ("--data", f"echonet={other}")
    assert evaluate(capsys, folder, *data, *random, "--out", out)[0] == 0
    before = {path: path.read_bytes() for path in out.rglob("*.csv")}
    assert evaluate(capsys, folder, *data, *random, *random, "--out", out)[0] == 0
    refused = {"cells, weights": (*data, *simclr), "data": ("--data", f"echonet={more}", *random)}
    for changed, asked in refused.items():
        code, text = evaluate(capsys, folder, *asked, "--out", out)
        assert code == 2
        assert f"has results with other {changed} (see evaluation.json). Fix: choose another folder" in text
    assert {path: path.read_bytes() for path in out.rglob("*.csv")} == before
    (out / "evaluation.json").rename(out / "prediction.json")
    code, text = evaluate(capsys, folder, *data, *random, "--out", out)
    assert (code, "(found replicates.csv, prediction.json without evaluation.json)" in text) == (2, True), text
    assert "a file, expected a folder" in evaluate(capsys, folder, *data, "--out", out / "measures.csv")[1]
    for cells in (random, simclr, random):  # by default a folder of their own
        assert evaluate(capsys, folder, *data, *cells)[0] == 0
    assert len(list((folder.root / "evaluations").iterdir())) == 2


def write_manifest(root: Path, images: list[np.ndarray], masked: int) -> Path:
    """Write a subject for each image, of whom the first `masked` have a mask, and the others the view "plain"."""
    lines = ["subject,image,mask,view,row_mm,column_mm"]
    root.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(root / f"{number}.png")
        Image.fromarray((image > image.mean()).astype(np.uint8)).save(root / f"{number}_gt.png")
        mask, view = (f"{number}_gt.png", "masked") if number < masked else ("", "plain")
        lines.append(f"s{number},{number}.png,{mask},{view},1,1")
    (root / "manifest.csv").write_text("\n".join(lines))
    (root / "classes.csv").write_text("value,name\n0,background\n1,lv\n")
    return root


def test_data_without_masks_are_refused_before_they_are_decoded(folder, tmp_path, capsys):
    images = list(np.random.default_rng(0).integers(0, 256, (2, 64, 64), np.uint8))
    for count, subjects in ((1, "1 subject"), (2, "2 subjects")):
        data = write_manifest(tmp_path / f"data{count}", images[:count], masked=0)
        code, text = evaluate(capsys, folder, "--data", f"manifest={data}")
        assert code == 2
        assert f"{data}: no reference mask (found {subjects} without one, expected labelled images)" in text
        assert "Fix: add masks (the column `mask` of the manifest), or evaluate other data" in text
    data = write_manifest(tmp_path / "views", images, masked=1)
    code, text = evaluate(capsys, folder, "--data", f"manifest={data}", "--set", "views=[plain]")
    assert (code, "no reference mask of view plain (found 1 subject without one" in text) == (2, True), text
    assert not list((folder.workspace.data / "frames").glob("manifest-*"))


def test_subjects_that_the_study_has_seen_and_those_without_masks_are_counted_apart(tmp_path, capsys):
    folder = write_trained(tmp_path / "ws", replicates=1)
    frames = folder.workspace.data / "frames/echonet-0123"
    index = np.load(frames / "index.npy")
    index["split"][index["subject"] == 0] = 0
    np.save(frames / "index.npy", index)
    known = np.load(frames / "images.npy")[index["subject"] == 0][0, 0]
    new = list(np.random.default_rng(0).integers(0, 256, (3, 64, 64), np.uint8))
    data = write_manifest(tmp_path / "some", [known, *new], masked=2)
    code, text = evaluate(capsys, folder, "--data", f"manifest={data}", "--out", tmp_path / "out")
    assert code == 0, text
    assert "note: 1 subject left out, as the study was trained or chosen on an image of them" in text
    assert "note: 2 subjects without masks, which are not scored" in text
    data = write_manifest(tmp_path / "none", [known, *new], masked=1)
    code, text = evaluate(capsys, folder, "--data", f"manifest={data}")
    assert code == 2
    assert "trained or chosen on images of all subjects with masks (found 1 of 4 subjects). Fix: evaluate" in text
