"""Docstrings keep the rules of `tests/language.py`."""

import pytest
from language import PACKAGES, files, violations


@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_keep_the_rules(package):
    found = [
        f"{path}:{line}: {rule}: {text}"
        for path in files([package])
        for line, rule, text in violations(path.read_text())
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("docstring", "rule"),
    [
        ("What the work gives.", "clause"),
        ("Whether it is there, whole.", "clause"),
        ("The jobs that could start now.", "imperative"),
        ("Gives out jobs to whoever asks.", "imperative"),
        ("Read it.", "four words"),
        ("Train a network.\n\n    Args:\n        epochs: likewise.\n    ", "fragment"),
        ("Train a network.\n\n    Args:\n        epochs: of the run.\n    ", "fragment"),
    ],
)
def test_a_broken_rule_is_found(docstring, rule):
    source = f'def f(epochs):\n    """{docstring}"""\n'
    assert any(rule in found for _, found, _ in violations(source))


def test_a_good_docstring_passes():
    docstring = "Train a network.\n\n    Args:\n        epochs: passes over the training rows.\n    "
    source = f'def f(epochs):\n    """{docstring}"""\n'
    assert not list(violations(source))
