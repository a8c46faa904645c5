"""Imports run one way, and the science runs without the platform."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {
    "trainables": {"ray", "mlflow", "optuna", "pydantic", "typer", "study", "analysis", "search_spaces"},
    "study": {"analysis"},
    "analysis": {"ray", "mlflow", "typer"},
    "search_spaces": {"ray", "mlflow", "optuna", "study", "trainables", "analysis"},
}


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", FORBIDDEN)
def test_no_package_imports_against_the_layers(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        if path.is_relative_to(ROOT / "study" / "cli"):
            continue  # the composition root
        assert not imported(path) & FORBIDDEN[package], path


def test_trainables_import_where_the_platform_is_not_installed():
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((ROOT / "trainables").rglob("*.py"))
        if path
        != ROOT / "trainables" / "external" / "nnunet" / "child.py"  # runs where the extra `nnunet` is installed
    ]
    script = f"""
import sys
for name in {sorted(FORBIDDEN["trainables"])}:
    sys.modules[name] = None
import importlib
for name in {modules}:
    importlib.import_module(name)
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, timeout=300)
