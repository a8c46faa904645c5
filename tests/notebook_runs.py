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
    book = jupytext.read(NOTEBOOKS / f"{name}.py")
    variables = {"STUDY_HOME": str(folder.root.parent.parent), "STUDY": folder.name, **environment}
    root = str(NOTEBOOKS.parent.parent)
    with mock.patch.dict(os.environ, {**variables, "PYTHONPATH": root, "IPYTHONDIR": str(folder.root / "ipython")}):
        NotebookClient(book, timeout=300, kernel_name="python3").execute()
    return book


def pictures(book: NotebookNode) -> int:
    """Return the number of pictures in the outputs."""
    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    return sum("image/png" in output.get("data", {}) for output in outputs)
