"""`study predict` and `study evaluate` on the networks of a tiny study."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from whole_studies import call

from study.planning.jobs import Job
from study.prediction.output_folder import LOCK
from study.prediction.trained_cell import trained_cell
from study.storage.lock import file_lock
from study.storage.workspace import StudyFolder, Workspace
from trainables.data.store.frames import FrameStore
from trainables.phantom import PhantomSettings, write_echonet

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def workspace(uninterrupted, tmp_path_factory) -> Path:
    """A copy of the workspace of a tiny study, which tests may change."""
    root = tmp_path_factory.mktemp("predict") / "runs"
    shutil.copytree(uninterrupted, root)
    return root


@pytest.fixture(scope="module")
def folder(workspace) -> StudyFolder:
    return Workspace(workspace).existing_study("tiny")


@pytest.fixture(scope="module")
def dataset(workspace) -> Path:
    return next((workspace / "data/phantom").glob("echonet-*"))


@pytest.fixture(scope="module")
def cell(folder) -> str:
    return str(json.loads(folder.plan.read_text())["cells"][0]["key"])


def videos(dataset: Path, split: str) -> list[Path]:
    """Return the videos of a split in the order of the frame store."""
    table = pd.read_csv(dataset / "FileList.csv")
    return [dataset / f"Videos/{name}.avi" for name in sorted(table.loc[table["Split"] == split, "FileName"])]


def job_of(folder: StudyFolder, cell: str, index: int) -> Job:
    replicate = trained_cell(folder, cell, index).replicates[0]
    return Job.from_plain(json.loads(folder.job(replicate.job).config.read_text()))


@pytest.mark.parametrize("index", [0, 1])
def test_the_test_splits_files_have_the_stored_predictions_bit_for_bit(
    workspace, folder, dataset, cell, index, tmp_path, capsys
):
    given = videos(dataset, "TEST")
    arguments = ["--cell", cell, "--replicate", str(index), "--network-size", "--workspace", str(workspace)]
    code, text = call(capsys, "predict", "tiny", *map(str, given), "--out", str(tmp_path), *arguments)
    assert code == 0, text
    job = job_of(folder, cell, index)
    store = FrameStore.open(Path(job.frames))
    stored = np.load(folder.job(job.id).predictions)
    sequences = np.unique(store.index["sequence"][store.rows("test")])
    assert len(sequences) == len(given)
    for row, mask in zip(stored["rows"], stored["masks"], strict=True):
        video = given[int(np.searchsorted(sequences, store.index["sequence"][row]))]
        found = np.load(tmp_path / f"network_size/{video.stem}.npy")
        np.testing.assert_array_equal(found[store.index["frame"][row]], mask)
    assert stored["masks"].any()


def test_the_mean_of_all_replicates_is_the_default_and_tables_name_files_only(
    workspace, dataset, folder, tmp_path, capsys
):
    (tmp_path / "in").mkdir()
    for video in videos(dataset, "TEST"):
        shutil.copy(video, tmp_path / "in")
    (tmp_path / "in/bad.avi").write_bytes(b"nothing")
    arguments = ["predict", "tiny", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--workspace", str(workspace)]
    code, text = call(capsys, *arguments, "--disagreement")
    assert code == 3, text
    assert "failed: bad.avi: " in text
    facts = json.loads((tmp_path / "out/prediction.json").read_text())
    assert len(facts["weights"]) == 2
    frames, sequences, failures = (pd.read_csv(tmp_path / f"out/{n}.csv") for n in ("frames", "sequences", "failures"))
    assert set(frames["file"]) == set(sequences["file"]) == {video.name for video in videos(dataset, "TEST")}
    assert list(failures["file"]) == ["bad.avi"]
    assert list(frames.columns) == ["file", "frame", "unit", "area/lv"]
    first = sequences.iloc[0]
    mask = np.asarray(nib.load(tmp_path / f"out/masks/{Path(first['file']).stem}.nii.gz").dataobj)
    areas = (mask == 1).sum((0, 1))
    assert frames.loc[frames["file"] == first["file"], "area/lv"].tolist() == areas.tolist()
    code, text = call(capsys, *arguments, "--disagreement")
    assert f"0 images segmented (0 frames), {len(sequences)} there before" in text
    subjects = trained_cell(folder, facts["cell"]).store.subjects
    assert not any(subject in path.read_text() for path in (tmp_path / "out").glob("*.csv") for subject in subjects)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cell", "pretext.method=simclrr"], "has no cell 'pretext.method=simclrr'; did you mean"),
        (["--replicate", "7"], "no replicate 7 (found 0, 1)"),
        (["--flips"], "trained without mirror images"),
        (["--replicate", "0", "--disagreement"], "one network (expected two or more)"),
        (["--device", "cuda:99"], "--device cuda:99: no such device (found cpu)"),
    ],
)
def test_what_cannot_be_done_is_one_message(workspace, dataset, tmp_path, capsys, arguments, message):
    video = str(videos(dataset, "TEST")[0])
    common = ["predict", "tiny", video, "--out", str(tmp_path), "--workspace", str(workspace)]
    code, text = call(capsys, *common, *arguments)
    assert (code, message in " ".join(text.split())) == (2, True), text
    assert not list(tmp_path.iterdir())


def test_a_folder_of_images_or_of_a_running_prediction_is_refused(workspace, dataset, cell, tmp_path, capsys):
    video = shutil.copy(videos(dataset, "TEST")[0], tmp_path)
    common = ["--cell", cell, "--workspace", str(workspace)]
    code, text = call(capsys, "predict", "tiny", str(tmp_path), "--out", str(tmp_path / "masks"), *common)
    assert code == 2, text
    assert "lies in the folder of images" in " ".join(text.split())
    code, text = call(capsys, "predict", "tiny", f"echonet={dataset}", "--out", str(dataset), *common)
    assert code == 2, text
    assert [path.name for path in tmp_path.iterdir()] == [Path(video).name]
    out = tmp_path / "out"
    with file_lock(out / LOCK, "held"):
        code, text = call(capsys, "predict", "tiny", str(video), "--out", str(out), *common)
    assert code == 4, text
    assert "another prediction writes there (host " in " ".join(text.split())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("layout.untracd=false", "unknown key; did you mean 'untraced'?"),
        ("views=[4CH]", "expected a setting of the datasets' layout, layout.KEY=VALUE"),
    ],
)
def test_a_setting_of_the_dataset_is_used_or_refused(workspace, dataset, cell, tmp_path, capsys, setting, message):
    common = ["--cell", cell, "--workspace", str(workspace), "--out", str(tmp_path / "out")]
    code, text = call(capsys, "predict", "tiny", f"echonet={dataset}", *common, "--set", setting)
    assert (code, message in " ".join(text.split())) == (2, True), text
    video = str(videos(dataset, "TEST")[0])
    code, text = call(capsys, "predict", "tiny", video, *common, "--set", "layout.untraced=false")
    assert (code, "no dataset among the images" in " ".join(text.split())) == (2, True), text


def test_a_later_call_adds_its_images_and_one_with_other_options_is_refused(workspace, dataset, cell, tmp_path, capsys):
    out, (one, two) = tmp_path / "out", videos(dataset, "TEST")[:2]
    common = ("--cell", cell, "--out", str(out), "--workspace", str(workspace))
    turned = ("--cell", ",".join(reversed(cell.split(","))), *common[2:])  # levels in any order
    for video, options in ((one, common), (two, turned)):
        assert call(capsys, "predict", "tiny", str(video), *options)[0] == 0
    assert sorted(set(pd.read_csv(out / "frames.csv")["file"])) == sorted([one.name, two.name])
    code, text = call(capsys, "predict", "tiny", str(one), "--replicate", "0", *common)
    assert code == 2
    assert "has results with other replicates, weights (see prediction.json). Fix: choose another folder" in text
    (tmp_path / "file").write_text("kept")
    code, text = call(capsys, "predict", "tiny", str(one), "--cell", cell, "--out", str(tmp_path / "file"))
    assert code == 2
    code, text = call(
        capsys, "predict", "tiny", str(one), "--out", str(tmp_path / "file"), "--workspace", str(workspace)
    )
    assert code == 2
    assert "a file, expected a folder" in text


def test_missing_frames_and_weights_are_told_with_the_remedy(workspace, folder, cell, tmp_path, capsys):
    copy = tmp_path / "runs"
    shutil.copytree(workspace, copy)
    there = Workspace(copy).existing_study("tiny")
    for each in trained_cell(there, cell).replicates:
        file = there.job(each.job).config
        file.write_text(json.dumps(json.loads(file.read_text()) | {"frames": "lost"}))
    (copy / "data/frames").rename(tmp_path / "moved")
    common = ["predict", "tiny", str(tmp_path), "--out", str(tmp_path / "o"), "--cell", cell, "--workspace", str(copy)]
    code, text = call(capsys, *common)
    assert (code, "are missing, with their mean gray. Fix: study report tiny --prepare" in text) == (2, True), text
    for digest in {each.digest for each in trained_cell(folder, cell).replicates}:
        shutil.rmtree(copy / "artifacts" / digest)
    code, text = call(capsys, *common)
    assert (code, "Fix: study repair tiny" in text) == (2, True), text


def test_an_evaluation_on_the_studys_own_data_is_its_test(workspace, folder, dataset, tmp_path, capsys):
    arguments = ["--data", f"echonet={dataset}", "--all-cells", "--out", str(tmp_path), "--workspace", str(workspace)]
    code, text = call(capsys, "evaluate", "tiny", *arguments)
    assert code == 0, text
    assert "16 subjects left out" in text
    cells = [entry["key"] for entry in json.loads(folder.plan.read_text())["cells"]]
    measures = pd.read_csv(tmp_path / "measures.csv")
    assert set(measures["cell"]) == set(cells)
    for key in cells:
        for each in trained_cell(folder, key).replicates:
            found, stored = (
                pd.read_csv(path / "test.csv") for path in (tmp_path / each.job, folder.job(each.job).root)
            )
            names = [name for name in stored.columns if name not in ("subject", "row")]
            pd.testing.assert_frame_equal(found[names], stored[names])
    report = pd.read_csv(tmp_path / "differences.csv")
    assert {"difference", "ci_low", "p_holm"} <= set(report.columns)


def test_an_evaluation_of_other_data_scores_every_labelled_subject(workspace, tmp_path, capsys):
    write_echonet(tmp_path / "other", PhantomSettings(subjects=7, frames=8, size=48, seed=9))
    arguments = ["--data", f"echonet={tmp_path / 'other'}", "--out", str(tmp_path / "o"), "--workspace", str(workspace)]
    code, text = call(capsys, "evaluate", "tiny", *arguments)
    assert code == 0, text
    assert "left out" not in text
    measures = pd.read_csv(tmp_path / "o/measures.csv").set_index("measure")
    assert measures.loc["dice", "subjects"] == 7
    assert measures.loc["dice", "replicates"] == 2
    scores = [pd.read_csv(path) for path in (tmp_path / "o").glob("*/test.csv")]
    assert measures.loc["dice", "mean"] == pytest.approx(
        np.mean([each.groupby("subject")["dice"].mean().mean() for each in scores])
    )


def test_data_without_the_studys_classes_are_refused(workspace, tmp_path, capsys):
    from trainables.phantom import PHANTOMS

    PHANTOMS["chaos"].write(tmp_path / "chaos", PhantomSettings(subjects=4, frames=8, size=32), None)
    code, text = call(
        capsys, "evaluate", "tiny", "--data", f"chaos={tmp_path / 'chaos'}", "--workspace", str(workspace)
    )
    assert (code, "no class of the study (found liver" in " ".join(text.split())) == (2, True), text
