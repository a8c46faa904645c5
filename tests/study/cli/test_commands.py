"""Tests of commands that need neither Ray nor data, and of the command line's errors."""

import errno
import json
import re
import subprocess
import sys
from pathlib import Path
from unittest.mock import create_autospec

import pytest
import typer
from typer.testing import CliRunner
from whole_studies import call

import search_spaces
from study.cli import run as run_module
from study.cli.app import EXIT_CODES, Exit, app
from study.cli.main import guarded
from study.cli.renamed import RENAMED_OPTIONS
from study.errors import InfrastructureError
from study.execution import launch
from study.execution.errors import ClusterLost, StorageFull
from study.execution.launch import StudyResult
from study.storage.lock import Locked
from trainables.common.errors import UserError
from trainables.phantom import PhantomSettings, write_echonet

RUNNER = CliRunner()


def invoke(*arguments: str):
    return RUNNER.invoke(app, list(arguments))


def groups(command, path=()):
    """Yield the path of every command below a command."""
    yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from groups(below, (*path, name))


STUDY_COMMAND = typer.main.get_command(app)
PATHS = list(groups(STUDY_COMMAND))


def command_at(path):
    """Return the command at a path."""
    command = STUDY_COMMAND
    for name in path:
        command = command.commands[name]
    return command


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_each_command_and_option_has_a_help_text(path):
    command = command_at(path)
    assert command.help
    assert [option.name for option in command.params if not getattr(option, "help", None)] == []
    assert invoke(*path, "--help").exit_code == 0


def test_the_common_options_are_those_of_the_commands_that_the_documentation_names():
    text = (Path(__file__).parents[3] / "docs" / "STUDY.md").read_text()
    studies = {("validate",), ("plan",), ("rehearse",), ("run",)}
    targets = {path for path in PATHS if path[:1] == ("data",) and len(path) == 2} - {("data", "init")}
    leaves = {path for path in PATHS if not any(other[:-1] == path for other in PATHS if other)}
    workspaces = leaves - {("list",), ("components",), ("new", "method"), ("data", "init")}
    both = studies | targets
    listed = {
        "all but `list`, `components`, `new method`, `data init`": workspaces,
        "STUDY": studies,
        "STUDY, TARGET": both,
        "STUDY, TARGET, `evaluate`": both | {("evaluate",)},
        "STUDY, TARGET, `evaluate`, `predict`": both | {("evaluate",), ("predict",)},
    }
    rows = re.findall(r"^\| `(--\w+)[^`]*` \| (.*?) \| .* \|$", text, re.MULTILINE)
    assert len(rows) == 6
    for option, commands in rows:
        expected = listed.get(commands) or {tuple(name.split()) for name in re.findall(r"`([\w ]+)`", commands)}
        found = {path for path in leaves if any(option in each.opts for each in command_at(path).params)}
        assert found == expected, option


def test_the_help_documents_all_exit_codes():
    text = " ".join(invoke("--help").output.split())
    assert set(EXIT_CODES) == set(Exit)
    assert all(f"{code.value} {meaning}" in text for code, meaning in EXIT_CODES.items())


def test_the_help_imports_no_framework():
    program = (
        "import sys; from typer.testing import CliRunner; from study.cli.app import app; import study.cli.main; "
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0; "
        "print({'torch', 'ray', 'mlflow', 'optuna', 'pandas', 'pydantic'} & sys.modules.keys())"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


def test_the_version_is_printed():
    assert invoke("--version").output.startswith("pretext-study 0.")


def test_studies_are_listed_as_a_table_and_as_json():
    assert invoke("list").output.split()[:2] == ["study", "question"]
    assert "quickstart" in {row["name"] for row in json.loads(invoke("list", "--json").output)}


def test_a_valid_study_file_has_its_cells_counted():
    assert "quickstart: valid, " in invoke("validate", "quickstart").output
    found = json.loads(invoke("validate", "quickstart", "--json").output)
    assert found["name"] == "quickstart"
    assert found["cells"]


def test_what_was_not_checked_of_a_dataset_is_said(tmp_path):
    images = tmp_path / "images"
    write_echonet(images, PhantomSettings(subjects=30, frames=8, size=32))
    study = tmp_path / "mine.yaml"
    base = f"include: [{search_spaces.FOLDER / 'quickstart.yaml'}]\ntitle: Mine\nfactors: {{labels: null}}\n"
    notes = {str(images): "no image was read. To read all files: study data check", "/none": "not on this machine"}
    for path, note in notes.items():
        study.write_text(f"{base}data: {{phantom: null, path: {path}}}\n")
        assert f"note: {path}: {note}" in invoke("validate", str(study)).output


def test_a_study_file_is_checked_with_the_options_of_a_run(tmp_path):
    ran = invoke("validate", "quickstart", "--workspace", str(tmp_path / "runs"))
    assert (ran.exit_code, (tmp_path / "runs").exists()) == (0, False)


def test_an_unknown_study_to_begin_with_is_refused_where_there_is_a_workspace(tmp_path):
    asked = ("validate", "quickstart", "--set", "search.prior=[earlier]", "--workspace", str(tmp_path / "runs"))
    ran = invoke(*asked)
    assert (ran.exit_code, "note: search.prior: not checked" in ran.output) == (0, True)
    (tmp_path / "runs").mkdir()
    assert "no study 'earlier'" in str(invoke(*asked).exception)


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("retry", "x", "--failed"), "--failed"),
        (("best", "x", "--front"), "--front"),
        (("export", "backbone", "x", "--colour"), "--colour"),
    ],
)
def test_an_option_that_was_renamed_is_an_error_with_the_new_form(arguments, option, capsys):
    assert guarded(lambda: app(list(arguments), standalone_mode=False)) == Exit.USAGE
    error = capsys.readouterr().err
    (fix,) = (fix for (_, old), fix in RENAMED_OPTIONS.items() if old == option)
    assert f"{option} no longer exists. Fix: {fix}" in error


def test_no_renamed_option_is_in_use():
    used = set()
    for path in PATHS:
        command = command_at(path)
        used |= {(command.name, option) for each in command.params for option in each.opts}
    assert not used & RENAMED_OPTIONS.keys()
    assert {name for name, _ in RENAMED_OPTIONS} <= {path[-1] for path in PATHS if path}


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (UserError("bad [key]"), Exit.USAGE, "error: bad [key]"),
        (Locked("locked"), Exit.INFRASTRUCTURE, "error: locked"),
        (ClusterLost("lost"), Exit.INFRASTRUCTURE, "error: lost"),
        (StorageFull("full"), Exit.INFRASTRUCTURE, "error: full"),
        (InfrastructureError("broken"), Exit.INFRASTRUCTURE, "error: broken"),
        (KeyboardInterrupt(), Exit.INTERRUPTED, "to continue"),
        (
            OSError(errno.ENOSPC, "No space left", "/runs/x"),
            Exit.INFRASTRUCTURE,
            "disk full at /runs/x. Fix: ",
        ),
        (typer.Exit(7), 7, ""),
    ],
)
def test_the_exit_code_and_message_of_each_error(error, code, text, capsys):
    def fail():
        raise error

    assert guarded(fail) == code
    assert text in capsys.readouterr().err


@pytest.mark.parametrize("error", [RuntimeError("bug"), OSError(errno.EIO, "broken disk")])
def test_an_internal_error_keeps_its_traceback(error):
    def fail():
        raise error

    with pytest.raises(type(error)):
        guarded(fail)


@pytest.mark.parametrize(
    ("result", "code", "text"),
    [
        (StudyResult(True, {"completed": 3, "reused": 2}), Exit.SUCCESS, "is finished: 3 completed, 2 reused"),
        (StudyResult(True, {"completed": 3, "failed": 1}), Exit.FAILED_JOBS, "3 completed, 1 failed"),
        (StudyResult(False, {"completed": 3}), Exit.INTERRUPTED, "interrupted"),
        (StudyResult(False, {"completed": 3}, "hours spent"), Exit.BUDGET, "hours spent; 3 jobs have ended"),
    ],
)
def test_the_exit_code_of_a_run(monkeypatch, tmp_path, capsys, result, code, text):
    monkeypatch.setattr(launch, "run", create_autospec(launch.run, return_value=result))
    study = run_module.load("quickstart", None, None, None, None)
    assert run_module.run_study(study, run_module.workspace(tmp_path), None) == code
    assert text in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("arguments", "due", "passes", "steps"),
    [
        ([], True, True, ["rehearse", "run"]),
        ([], True, False, ["rehearse"]),
        ([], False, True, ["run"]),
        (["--no-rehearse"], True, False, ["run"]),
    ],
)
def test_a_long_study_is_rehearsed_first_and_not_started_if_it_fails(
    monkeypatch, tmp_path, capsys, arguments, due, passes, steps
):
    taken = []
    code = Exit.SUCCESS if passes else Exit.USAGE
    monkeypatch.setattr(run_module, "rehearsal_due", lambda study, place, address: due)
    monkeypatch.setattr(run_module, "rehearse_study", lambda *given: taken.append("rehearse") or code)
    monkeypatch.setattr(run_module, "run_study", lambda *given: taken.append("run") or Exit.SUCCESS)
    study = str(Path(__file__).parent.parent / "tiny.yaml")
    ended, _ = call(capsys, "run", study, "--workspace", str(tmp_path), *arguments)
    assert taken == steps
    assert ended == (Exit.SUCCESS if steps[-1] == "run" else Exit.USAGE)


def test_a_run_says_at_once_what_it_starts(monkeypatch, capsys, tmp_path):
    def load(*arguments):
        raise UserError(f"so far: {capsys.readouterr().err}")

    monkeypatch.setattr(run_module, "load", load)
    with pytest.raises(UserError, match=rf"so far: starting quickstart in {tmp_path}"):
        app(["run", "quickstart", "--workspace", str(tmp_path)], standalone_mode=False)
