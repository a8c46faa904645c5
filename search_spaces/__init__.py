"""Study files and the fragments they include; this package holds no code except their path."""

from importlib.resources import files
from pathlib import Path

FOLDER = Path(str(files(__name__)))
"""Folder of the study files: `FOLDER / "quickstart.yaml"`."""
