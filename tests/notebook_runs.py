"""Running the notebooks as their users do, on a study in a folder."""

import os
from pathlib import Path
from unittest import mock

import jupytext
from nbclient import NotebookClient
from nbformat import NotebookNode

import analysis
from study.storage.workspace import StudyFolder

NOTEBOOKS = Path(analysis.__file__).parent / "notebooks"


def run_notebook(name: str, folder: StudyFolder, **environment: str) -> NotebookNode:
    """The notebook with its outputs; a cell that fails fails the test."""
    variables = {"STUDY_HOME": str(folder.root.parent.parent), "STUDY": folder.name, **environment}
    return run_in(folder.root, name, **variables)


def run_in(start: Path, name: str, **environment: str) -> NotebookNode:
    """The notebook with its outputs, started in a folder."""
    book = jupytext.read(NOTEBOOKS / f"{name}.py")
    ours = {"PYTHONPATH": str(NOTEBOOKS.parent.parent), "IPYTHONDIR": str(start / "ipython")}
    with mock.patch.dict(os.environ, {**environment, **ours}):
        NotebookClient(book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(start)}}).execute()
    return book


def pictures(book: NotebookNode) -> int:
    """Return the number of pictures in the outputs."""
    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    return sum("image/png" in output.get("data", {}) for output in outputs)
