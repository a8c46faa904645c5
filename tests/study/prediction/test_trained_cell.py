"""Cells of a study whose dataset is a factor: each is used with its own dataset."""

import json

import numpy as np
import pandas as pd
import pytest

from study.cli.app import app
from study.cli.main import guarded
from study.config.definition import load_study
from study.execution.plan_record import describe
from study.planning.datasets import Dataset
from study.planning.plan import Plan
from study.prediction.evaluation import without_seen
from study.prediction.trained_cell import trained_cell
from tests.fake_results import write_frames
from tests.fake_trained import STUDY, write_trained
from trainables.common.errors import UserError
from trainables.phantom import PhantomSettings, write_echonet

VARIED = "data.stride: 2, data.pixel_mm: 0.5"


def test_a_cell_has_the_settings_and_frames_that_its_replicates_were_trained_on(tmp_path):
    folder = write_trained(tmp_path, data=VARIED)
    first, second = (trained_cell(folder, f"method={method}") for method in ("random", "simclr"))
    assert (first.data.stride, first.data.pixel_mm, first.preprocessing.pixel_mm) == (1, None, None)
    assert (second.data.stride, second.data.pixel_mm, second.preprocessing.pixel_mm) == (2, 0.5, 0.5)
    assert (first.store.fingerprint[0], second.store.fingerprint[0]) == ("0", "1")
    assert (first.preprocessing.mean, second.preprocessing.mean) == ((0.2,), (0.4,))


def test_the_plan_records_the_dataset_of_each_cell_that_sets_one(tmp_path):
    write_frames(tmp_path / "frames", 3)
    index = np.load(tmp_path / "frames/index.npy")
    index["split"] = index["subject"]
    np.save(tmp_path / "frames/index.npy", index)
    file = tmp_path / "varied.yaml"
    file.write_text(STUDY.replace("SIMCLR", "data.image_size: 48"))
    plan = Plan(load_study(str(file)), lambda settings: Dataset(str(tmp_path / "frames"), "f"))
    first, second = describe(plan)["cells"]
    assert "data" not in first
    assert second["data"]["image_size"] == 48


def test_the_plan_of_an_earlier_version_has_the_dataset_in_its_levels(tmp_path):
    folder = write_trained(tmp_path, data=VARIED)
    plan = json.loads(folder.plan.read_text())
    for cell in plan["cells"]:
        del cell["data"]
    folder.plan.write_text(json.dumps(plan))
    assert trained_cell(folder, "method=simclr").data.pixel_mm == 0.5
    plan["cells"].reverse()  # the first cell's settings are those of `spec`, which say nothing of the other cell
    folder.plan.write_text(json.dumps(plan))
    with pytest.raises(UserError, match=r"does not say data.pixel_mm, data.stride of the cell 'method=random'\. Fix"):
        trained_cell(folder, "method=random")


def test_subjects_count_as_seen_by_the_images_of_the_cells_own_frames(tmp_path):
    folder = write_trained(tmp_path, data=VARIED)
    own = trained_cell(folder, "method=simclr").store.folder
    index = np.load(own / "index.npy")
    index["split"][index["subject"] == 0] = 0  # trained on by this cell alone
    np.save(own / "index.npy", index)
    first, second = (trained_cell(folder, f"method={method}").store for method in ("random", "simclr"))
    assert [without_seen(first, study, tmp_path)[1] for study in (first, second)] == [0, 1]


def test_an_evaluation_of_all_cells_reads_the_data_as_each_cell_does(tmp_path, capsys):
    folder = write_trained(tmp_path / "ws", data="data.stride: 2")
    write_echonet(tmp_path / "other", PhantomSettings(subjects=4, frames=8, size=48, seed=9))
    place = ["--workspace", str(folder.workspace.root)]
    arguments = ["fake", "--data", f"echonet={tmp_path / 'other'}", "--all-cells", "--out", str(tmp_path / "out")]
    code = guarded(lambda: app(["evaluate", *arguments, *place], standalone_mode=False))
    assert code == 0, capsys.readouterr().err
    assert len(list((tmp_path / "ws/data/frames").glob("echonet-*"))) == 2 + 2
    assert set(pd.read_csv(tmp_path / "out/measures.csv")["cell"]) == {"method=random", "method=simclr"}
