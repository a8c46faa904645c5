"""Skeletons, the catalogue of components and the examples, as somebody outside of the repository uses them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from whole_studies import call

from study.plugins.skeleton import write_method
from trainables.common.errors import UserError
from trainables.pretext import METHODS

EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "plugins"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "STUDY_CACHE": str(folder / "cache")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_skeleton_passes_the_checks_of_a_method(tmp_path):
    write_method("my_own", tmp_path)
    ran = run(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_own.py")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "7 passed" in ran.stdout
    listed = run(tmp_path, "-m", "study", "components", "--plugin", "my_own.py", "--json", "my_own")
    (found,) = json.loads(listed.stdout)
    assert (found["kind"], found["source"]) == ("pretext method", "my_own")
    assert {each["name"]: each["default"] for each in found["settings"]} == {"weight": 1.0, "projection": 128}
    assert all(each["text"] for each in found["settings"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("simclr", "a pretext method has it already"),
        ("2d", "expected lower-case letters"),
        ("torch", "a module or word of Python, which a file of this name would hide"),
        ("class", "a module or word of Python, which a file of this name would hide"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(tmp_path, name, message):
    with pytest.raises(UserError, match=message):
        write_method(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "test_mine.py").write_text("kept")
    with pytest.raises(UserError, match=r"test_mine.py: exists"):
        write_method("mine", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["test_mine.py"]


def test_every_component_says_what_it_is_and_each_setting_what_it_does(capsys):
    code, text = call(capsys, "components", "--json")
    found = json.loads(text)
    assert code == 0
    assert {each["name"] for each in found if each["kind"] == "pretext method"} >= set(METHODS)
    assert [each["name"] for each in found if not each["summary"]] == []
    assert [(each["name"], one["name"]) for each in found for one in each["settings"] if not one["text"]] == []
    assert {"crop", "blur", "speckle"} <= {each["name"] for each in found if each["kind"] == "augmentation operation"}


def test_an_unknown_component_gets_a_suggestion(capsys):
    code, text = call(capsys, "components", "simcrl")
    assert code == 2
    assert "no component 'simcrl'; did you mean 'simclr'?" in text


def test_the_examples_pass_the_checks_outside_of_the_repository(tmp_path):
    shutil.copytree(EXAMPLES, tmp_path / "mine")
    ran = run(tmp_path / "mine", "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert ran.returncode == 0, ran.stdout + ran.stderr
