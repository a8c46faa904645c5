"""Study files and the fragments they include; no code but where they lie."""

from importlib.resources import files
from pathlib import Path

FOLDER = Path(str(files(__name__)))
"""The folder of the study files: `FOLDER / "quickstart.yaml"`."""
