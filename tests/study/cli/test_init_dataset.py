"""`study data init`: from a folder to a study."""

import shutil

import cv2
import numpy as np
import pytest

from study.cli.app import app
from study.cli.main import guarded
from study.config.definition import load_study
from trainables.data.layouts.manifest import Manifest


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Sixty pictures with masks; the current folder is the one above."""
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / "scans" / kind).mkdir(parents=True)
    for number in range(60):
        mask = np.zeros((16, 16), np.uint8)
        mask[4:9, 5:10] = 255
        cv2.imwrite(str(tmp_path / "scans/images" / f"s{number:02d}.png"), rng.integers(0, 256, (16, 16), np.uint8))
        cv2.imwrite(str(tmp_path / "scans/masks" / f"s{number:02d}.png"), mask)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "scans"


@pytest.fixture
def invoke(capsys):
    """Function that runs the command and returns its exit code and what it prints."""

    def run(*arguments: str) -> tuple[int, str]:
        code = guarded(lambda: app(["data", "init", *arguments], standalone_mode=False))
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


def test_a_folder_becomes_a_valid_study(folder, invoke):
    code, printed = invoke("scans")
    assert code == 0, printed
    assert (folder / "manifest.csv").read_text().splitlines()[1] == "s00,images/s00.png,masks/s00.png"
    assert (folder / "classes.csv").read_text() == "value,name\n0,background\n255,foreground\n"
    study = load_study("scans")
    assert study.spec.data.path == str(folder)
    assert [list(factor.levels) for factor in study.spec.factors][1] == ["2", "10", "42"]
    assert load_study("scans", profile="smoke").cells()
    assert load_study("scans", profile="large").spec.data.image_size == 224


def test_a_dry_run_writes_nothing(folder, invoke):
    before = sorted(folder.parent.rglob("*"))
    code, printed = invoke("scans", "--dry-run")
    assert code == 0
    assert "60 images, 60 masks, 60 subjects" in printed
    assert "... and 50 more rows" in printed
    assert "60 sequences; subjects: train 42 (42 labelled), val 9 (9 labelled), test 9 (9 labelled)" in printed
    assert "dry run: nothing is written; without --dry-run, scans.yaml is the study file" in printed
    assert sorted(folder.parent.rglob("*")) == before


def test_a_dry_run_finds_the_faults_that_the_command_would(folder, invoke):
    (folder / "images" / "s07.png").write_bytes((folder / "images" / "s07.png").read_bytes()[:-40])
    found = []
    for arguments in (("scans", "--dry-run"), ("scans",), ("scans", "--dry-run")):  # the last with a manifest
        code, printed = invoke(*arguments)
        assert code == 2
        found.append([line for line in printed.splitlines() if "damage: " in line or "refused: " in line])
    assert "damage: images/s07.png: not a readable picture" in found[0][0]
    assert str(folder) in found[0][1]
    assert found[0] == found[1] == found[2]


def test_volumes_of_arrays_are_cut_along_their_first_axis(folder, invoke):
    shutil.rmtree(folder)
    folder.mkdir()
    for number in range(10):
        label = np.zeros((3, 16, 16), np.uint8)
        label[:, 4:9, 5:10] = 1
        np.savez(folder / f"c{number}.npz", image=np.random.default_rng(number).random((3, 16, 16)), label=label)
    for _ in range(2):  # with a manifest to write, and with one that exists
        code, printed = invoke("scans", "--force")
        assert code == 0, printed
        assert load_study("scans").spec.data.layout == Manifest(slice_axis=0)


def test_an_existing_manifest_is_checked_and_kept(folder, invoke):
    invoke("scans")
    edited = (folder / "manifest.csv").read_text().replace("s00,", "patient,").replace("s01,", "patient,")
    (folder / "manifest.csv").write_text(edited)
    (folder.parent / "scans.yaml").unlink()
    code, printed = invoke("scans")
    assert code == 0, printed
    assert "exists and is kept" in printed
    assert (folder / "manifest.csv").read_text() == edited
    assert (folder.parent / "scans.yaml").exists()
    assert invoke("scans", "--subject-pattern", "s(.*)")[0] == 2
    assert invoke("scans", "--force")[0] == 0
    assert (folder / "manifest.csv").read_text() != edited


def test_faults_are_told_and_end_with_exit_code_2(folder, invoke):
    for name in ("s05.png", "s06.png"):
        cv2.imwrite(str(folder / "masks" / name), np.zeros((8, 16), np.uint8))
    code, printed = invoke("scans")
    assert code == 2
    assert "problem: masks/s05.png: mask and image differ in size (found 8 x 16, expected 16 x 16)" in printed
    assert not (folder.parent / "scans.yaml").exists()


def test_images_without_masks_get_a_manifest_and_no_study(folder, invoke):
    for mask in (folder / "masks").iterdir():
        mask.unlink()
    code, printed = invoke("scans")
    assert code == 0
    assert "no study file written" in printed
    assert (folder / "manifest.csv").exists()


def test_bad_arguments_are_refused(folder, invoke):
    for arguments in (("nowhere",), ("scans", "--study", "x.txt"), ("scans", "--subject-pattern", "(")):
        code, printed = invoke(*arguments)
        assert code == 2
        assert arguments[-1] in printed
    assert sorted(path.name for path in folder.iterdir()) == ["images", "masks"]
