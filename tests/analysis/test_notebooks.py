import jupytext
import nbformat
import pytest
from notebook_runs import NOTEBOOKS, pictures, run_in, run_notebook

NAMES = sorted(path.stem for path in NOTEBOOKS.glob("*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_the_notebook_is_its_source_without_outputs(name):
    """After a change of the source: `jupytext --to ipynb --set-kernel python3 analysis/notebooks/NAME.py`."""
    source, book = jupytext.read(NOTEBOOKS / f"{name}.py"), nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    assert [(cell.cell_type, cell.source) for cell in book.cells] == [(c.cell_type, c.source) for c in source.cells]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in book.cells)
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(NAMES)


@pytest.mark.parametrize(
    ("name", "drawn"),
    [("simclr_vs_byol", 3), ("label_efficiency", 2), ("augmentation_ablation", 5), ("hyperparameter_landscape", 8)],
)
def test_it_runs_on_a_finished_study(make_study, name, drawn):
    folder = make_study(subjects=6, trials=6)
    assert pictures(run_notebook(name, folder)) == drawn


def test_it_runs_in_its_folder_without_a_variable(make_study, tmp_path, monkeypatch):
    """As `jupyter lab analysis/notebooks` starts it in a clone."""
    folder = make_study(subjects=6, trials=6)
    clone = tmp_path / "clone"
    notebooks = clone / "analysis" / "notebooks"
    notebooks.mkdir(parents=True)
    (clone / "runs").symlink_to(folder.workspace.root)
    for name in ("STUDY", "STUDY_HOME"):
        monkeypatch.delenv(name, raising=False)
    book = run_in(notebooks, "label_efficiency")
    assert f"'{folder.name}'" in book.cells[1].outputs[-1]["data"]["text/plain"]
