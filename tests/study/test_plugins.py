"""Plug-ins: installed packages, and files that a study names."""

from __future__ import annotations

import json
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from unittest.mock import create_autospec

import pytest

from study.config.definition import Study, load_study
from study.config.plain import plain
from study.config.problems import SpecError
from study.config.settings import parse
from study.execution.plan_record import describe, refuse_changes
from study.planning.plan import Plan
from study.plugins import loading
from study.plugins.declared import changed_code
from study.plugins.recorded import load_recorded, recorded_sources
from study.plugins.source import MAX_BYTES, MAX_FILES, PluginSource, read_source
from study.storage.plan_file import write_plan
from study.storage.workspace import Workspace
from trainables.common import plugin_code
from trainables.common.errors import UserError
from trainables.common.plugin_code import code_of
from trainables.downstream import LOSSES
from trainables.downstream.losses import Loss

TINY = Path(__file__).parent / "tiny.yaml"
LOSS = """
from dataclasses import dataclass

from torch.nn import functional as F

from trainables.downstream import LOSSES
from trainables.downstream.losses import Loss


@dataclass(frozen=True)
class Plain(Loss):
    smoothing: float = 0.0

    def value(self, logits, target):
        return F.cross_entropy(logits, target, label_smoothing=self.smoothing)


LOSSES.add("plain", Plain)
"""


@pytest.fixture(autouse=True)
def forgotten(monkeypatch, tmp_path):
    """Nothing that a test loads stays in the registries, in `sys.modules` or on the path."""
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(plugin_code, "_hashes", {})
    held = [(registry, set(registry)) for registry in loading.registries()]
    loading.load_installed.cache_clear()
    yield
    loading.load_installed.cache_clear()
    for registry, before in held:
        for name in set(registry) - before:
            registry.remove(name)
    for module in [name for name in sys.modules if name.partition(".")[0] == loading.NAMESPACE]:
        del sys.modules[module]


def install(monkeypatch, module: str):
    entry = EntryPoint(name="mine", value=module, group=loading.GROUP)
    found = create_autospec(loading.entry_points, return_value=[entry])
    monkeypatch.setattr(loading, "entry_points", found)
    return found


def study_with(tmp_path: Path, text: str = LOSS, name: str = "my_losses") -> Path:
    """Return a study file that names a plug-in beside it and uses its loss in one of two cells."""
    (tmp_path / f"{name}.py").write_text(text)
    file = tmp_path / "with_plugin.yaml"
    body = TINY.read_text().replace("downstream.label_fraction: [0.5, 1.0]", "downstream.loss: [dice_ce, plain]")
    file.write_text(f"{body}plugins: [./{name}.py]\n")
    return file


def test_each_installed_one_is_imported_once_and_its_code_is_known(monkeypatch):
    found = install(monkeypatch, "json.tool")
    loading.load_installed()
    loading.load_installed()
    found.assert_called_once_with(group="pretext_study.components")
    assert code_of(json.JSONDecoder) is not None
    assert code_of(Path) is None


def test_an_installed_one_that_cannot_be_imported_is_named(monkeypatch):
    install(monkeypatch, "no_such_module")
    with pytest.raises(UserError, match=r"plug-in 'mine' \(no_such_module\): import failed \(ModuleNotFoundError: "):
        loading.load_installed()


def test_a_study_names_a_file_beside_it_whose_components_it_uses(tmp_path):
    study = load_study(str(study_with(tmp_path)))
    cell = next(cell for cell in study.cells() if "plain" in cell.levels.values())
    loss = study.resolve(cell.overrides).downstream.loss
    assert plain(loss) == {"name": "plain", "code": study.plugins[0].sha256, "smoothing": 0.0}
    assert parse(Loss, plain(loss)) == loss
    job = Plan(study).replicate(cell.key, 0, {})
    assert job.config["downstream"]["loss"]["code"] == study.plugins[0].sha256


def test_changed_code_is_another_job_and_no_other_cells(tmp_path):
    digests = []
    for number, text in enumerate((LOSS, LOSS + "# changed\n")):
        study = load_study(str(study_with(tmp_path, text.replace('"plain"', '"plain"'), f"losses_{number}")))
        plan = Plan(study)
        digests.append({cell.key: plan.replicate(cell.key, 0, {}).digest for cell in plan.cells})
        LOSSES.remove("plain")
    before, after = digests
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {key for key in before if "plain" in key}
    assert changed


def test_settings_of_other_code_are_refused(tmp_path):
    study = load_study(str(study_with(tmp_path)))
    with pytest.raises(SpecError, match=r"the plug-in study_plugins.my_losses has changed \(found code "):
        parse(Loss, {"name": "plain", "code": "0" * 64})
    assert study.plugins[0].name == "my_losses"


def test_a_record_holds_the_source_and_is_read_without_the_files(tmp_path, monkeypatch):
    file = study_with(tmp_path)
    study = load_study(str(file))
    record = {"plugins": [each.plain() for each in study.plugins]}
    (tmp_path / "my_losses.py").unlink()
    LOSSES.remove("plain")
    monkeypatch.setattr(plugin_code, "_hashes", {})
    sys.modules.pop("study_plugins.my_losses")
    load_recorded(json.loads(json.dumps(record)))
    assert recorded_sources(record) == study.plugins
    assert "plain" in LOSSES


def test_a_study_that_goes_on_with_other_code_is_refused(tmp_path, monkeypatch):
    study = load_study(str(study_with(tmp_path)))
    folder = Workspace(tmp_path / "runs").create().study("with_plugin")
    monkeypatch.setattr("study.execution.plan_record._labels", lambda plan: (_ for _ in ()).throw(LookupError))
    with pytest.raises(LookupError):
        describe(Plan(study))  # needs frames; the parts that matter here do not
    code = {"study_plugins.my_losses": "f" * 64}
    write_plan(folder.plan, {"spec": study.document(), "code": code})
    with pytest.raises(UserError, match=r"other code of its plug-ins:\n  study_plugins.my_losses: found code "):
        refuse_changes(folder, study)
    write_plan(folder.plan, {"spec": study.document(), "code": {"study_plugins.my_losses": study.plugins[0].sha256}})
    refuse_changes(folder, study)


def test_other_code_under_a_loaded_name_is_refused(tmp_path):
    source = PluginSource("twice", {"twice.py": "VALUE = 1\n"})
    loading.load_sources([source, source], lambda: tmp_path / "cache")
    with pytest.raises(UserError, match="plug-in 'twice': this process has loaded other code under this name"):
        loading.load_sources([PluginSource("twice", {"twice.py": "VALUE = 2\n"})], lambda: tmp_path / "cache")


def test_a_failed_import_leaves_nothing_registered_and_names_the_line(tmp_path):
    file = study_with(tmp_path, LOSS + "\nraise RuntimeError('half way')\n")
    with pytest.raises(UserError, match=r"import failed, my_losses.py, line \d+ \(RuntimeError: half way\)"):
        load_study(str(file))
    assert "plain" not in LOSSES
    (tmp_path / "my_losses.py").write_text(LOSS)
    assert load_study(str(file)).plugins[0].name == "my_losses"


def test_a_folder_is_a_package_whose_modules_import_each_other(tmp_path):
    folder = tmp_path / "pack"
    folder.mkdir()
    (folder / "__init__.py").write_text("from .part import VALUE\n")
    (folder / "part.py").write_text("VALUE = 7\n")
    source = read_source(folder)
    assert sorted(source.files) == ["pack/__init__.py", "pack/part.py"]
    loading.load_sources([source], lambda: tmp_path / "cache")
    assert sys.modules["study_plugins.pack"].VALUE == 7


def test_an_error_in_a_module_of_a_folder_names_the_module(tmp_path):
    source = PluginSource(
        "half", {"half/__init__.py": "from . import part\n", "half/part.py": "\nimport no_such_module\n"}
    )
    with pytest.raises(UserError, match=r"plug-in 'half': import failed, half/part.py, line 2 \(ModuleNotFoundError"):
        loading.load_sources([source], lambda: tmp_path / "cache")


def test_damaged_files_in_the_cache_are_written_again(tmp_path):
    source = PluginSource("mended", {"mended.py": "VALUE = 3\n"})
    place = tmp_path / "cache" / "plugins" / source.sha256[:16] / "study_plugins" / "mended.py"
    place.parent.mkdir(parents=True)
    place.write_text("VALUE =")
    loading.load_sources([source], lambda: tmp_path / "cache")
    assert sys.modules["study_plugins.mended"].VALUE == 3


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("none.py", lambda path: None, "found no such file, expected a Python file"),
        ("empty", lambda path: path.mkdir(), "found a folder without __init__.py"),
        ("2nd.py", lambda path: path.write_text(""), "found the name '2nd', expected letters"),
        ("large.py", lambda path: path.write_text("#" * (MAX_BYTES + 1)), f"at most {MAX_FILES} files"),
        ("latin.py", lambda path: path.write_bytes(b"# \xe9"), "cannot be read as Python source"),
        (
            "broken.py",
            lambda path: path.write_text("def"),
            "import failed, broken.py, line 1 .SyntaxError",
        ),
    ],
)
def test_what_is_no_plugin_is_refused_with_its_place(tmp_path, name, make, message):
    make(tmp_path / name)
    file = tmp_path / "bad.yaml"
    file.write_text(f"{TINY.read_text()}plugins: [{name}]\n")
    with pytest.raises(UserError, match=message):
        load_study(str(file))


def test_two_of_one_name_are_refused(tmp_path):
    file = study_with(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "my_losses.py").write_text("")
    file.write_text(file.read_text().replace("[./my_losses.py]", "[./my_losses.py, other/my_losses.py]"))
    with pytest.raises(SpecError, match="a second plug-in named 'my_losses'"):
        load_study(str(file))


@pytest.mark.parametrize("path", ["../escape.py", "mine/../../x.py", "other.py", "/etc/x.py"])
def test_a_record_cannot_write_outside_of_the_plugin(path):
    with pytest.raises(UserError, match="expected files of the plug-in only"):
        PluginSource.from_plain({"name": "mine", "files": {path: ""}})


def test_changes_are_named_in_both_directions():
    assert changed_code({"a": "1" * 64}, {"a": "1" * 64}) == []
    assert changed_code({"a": "1" * 64}, {}) == ["a: found code none, expected 111111111111"]


def test_a_study_without_plugins_records_none(tmp_path):
    study = load_study(str(TINY))
    assert isinstance(study, Study)
    assert study.plugins == []
    assert "plugins" not in study.document()
