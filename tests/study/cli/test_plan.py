"""`study plan`: a dataset that a study would refuse is an error, one that is not chosen yet is none."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from study.cli import plan as plan_command
from study.cli.app import app
from study.cli.main import guarded
from study.cli.plan import show_plan
from study.config.definition import load_study
from study.planning.calibration import Calibration
from study.storage.workspace import Workspace
from trainables.phantom import PhantomSettings, write_echonet

TINY = str(Path(__file__).parent.parent / "tiny.yaml")


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_echonet(folder, PhantomSettings(subjects=6, frames=8, size=32, fractions=(0.5, 0.25, 0.25)))
    return folder


def run(capsys, tmp_path, *arguments: str) -> tuple[int, str, str]:
    code = guarded(lambda: app(["plan", TINY, *arguments, "--workspace", str(tmp_path)], standalone_mode=False))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (("data.views=[2CH]",), "no sequence of view '2CH'"),
        (("data.split=fractions", "data.fractions=[1, 0, 0]"), "no labelled subject in val, test"),
        (("data.path=/no/such/folder",), "/no/such/folder: the folder does not exist"),
        (("pretext_data={layout: acdc, path: /no/such/folder}",), "/no/such/folder: the folder does not exist"),
    ],
)
def test_a_dataset_that_a_study_would_refuse_is_an_error(capsys, tmp_path, root, sets, message):
    options = [option for text in sets for option in ("--set", text)]
    code, out, err = run(capsys, tmp_path, "--set", "data.phantom=null", "--set", f"data.path={root}", *options)
    assert (code, out) == (2, "")
    assert message in err


def test_a_study_is_planned_without_hours_before_its_data_are_chosen(capsys, tmp_path):
    code, out, _ = run(capsys, tmp_path, "--set", "data.phantom=null")
    assert code == 0
    assert "hours: unknown without the data. Fix: --data echonet=PATH" in out
    code, out, _ = run(capsys, tmp_path, "--set", "data.phantom=null", "--json")
    assert (code, json.loads(out)["hours"]) == (0, None)


@pytest.mark.parametrize(
    ("gpus", "asked", "warned"), [(8.0, 0, True), (8.0, 1, False), (8.0, "auto", False), (0.0, 0, False)]
)
def test_gpus_that_no_stage_asks_for_are_worth_a_warning(capsys, tmp_path, monkeypatch, gpus, asked, warned):
    monkeypatch.setattr(plan_command, "local_resources", lambda: {"CPU": 8.0, "GPU": gpus})
    sets = [f"--set=resources.{stage}.gpus={asked}" for stage in ("pretext", "downstream")]
    code, out, _ = run(capsys, tmp_path, "--set", "data.phantom=null", "--set", "resources.registration.gpus=0", *sets)
    assert code == 0
    assert ("no stage asks for a GPU (found 8). Fix: " in out) == warned
    assert ("GPUs for each worker (auto): pretext 1, downstream 1" in out) == (asked == "auto")


def test_cells_are_whole_in_a_pipe_and_fold_at_a_comma_on_a_terminal(capsys, tmp_path):
    code, out, _ = run(capsys, tmp_path, "--set", "data.phantom=null")
    assert code == 0
    assert sum(line.startswith("method=simclr,label_fraction=0.5  pretext-simclr-") for line in out.splitlines()) == 1
    text = io.StringIO()
    terminal = Console(file=text, width=60, force_terminal=True, color_system=None)
    study = load_study(TINY, sets=["data.phantom=null"])
    show_plan(study, Workspace(tmp_path), Calibration(tmp_path / "calibration.json"), terminal, as_json=False)
    assert {"method=simclr,", "label_fraction=0.5"} <= set(text.getvalue().split())


def test_many_cells_are_cut_on_a_terminal_and_whole_in_a_pipe(capsys, tmp_path):
    study = load_study("quickstart", sets=["factors.downstream.fit.batch_size=[2,3,4,5,6,7,8,9]", "search.space=null"])
    rates = Calibration(tmp_path / "calibration.json")
    for terminal, cells in ((True, 40), (False, 48)):
        console = Console(force_terminal=terminal, width=200, color_system=None)
        show_plan(study, Workspace(tmp_path), rates, console, as_json=False)
        said = capsys.readouterr().out
        assert sum("batch_size=" in line for line in said.splitlines()) == cells
        assert ("... and 8 more" in said) is terminal


def test_a_step_that_no_network_can_take_leaves_the_hours_unknown_and_says_why(capsys, tmp_path):
    code, out, said = run(capsys, tmp_path, "--set", "downstream.fit.batch_size=1")
    assert (code, said) == (0, "")
    assert "hours: unknown: cell method=random,label_fraction=0.5: downstream: the network cannot be trained on" in out


def test_labelled_subjects_are_counted_by_plan_and_validate(capsys, tmp_path, root):
    sets = ("--set", "data.phantom=null", "--data", f"echonet={root}", "--set", "downstream.validation=1")
    line = "labels: 2 training + 1 validation subjects (2 cells); 3 training + 1 validation subjects (2 cells)"
    code, out, _ = run(capsys, tmp_path, *sets)
    assert code == 0
    assert line in out.splitlines()
    code, out, _ = run(capsys, tmp_path, *sets, "--json")
    assert json.loads(out)["cells"][0]["labels"] == {"training": 2, "validation": 1}
    code = guarded(lambda: app(["validate", TINY, *sets], standalone_mode=False))
    assert (code, capsys.readouterr().out.splitlines()[-1]) == (0, line)
