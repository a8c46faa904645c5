"""Files and functions stay short enough to be read in one sitting."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("study", "trainables", "analysis", "search_spaces", "benchmarks")
MAX_FILE, MAX_FUNCTION = 300, 60


@pytest.mark.parametrize("package", PACKAGES)
def test_files_and_functions_are_short(package):
    found = []
    for path in sorted((ROOT / package).rglob("*.py")):
        text = path.read_text()
        if (lines := len(text.splitlines())) > MAX_FILE:
            found.append(f"{path}: {lines} lines, at most {MAX_FILE}")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MAX_FUNCTION:
                    found.append(f"{path}:{node.lineno}: {node.name} has {length} lines, at most {MAX_FUNCTION}")
    assert not found, "\n".join(found)
