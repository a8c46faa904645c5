"""Examples in docstrings run and print the output that they show."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

from study.config.definition import load_study
from study.planning.plan import Plan

ROOT = Path(__file__).parent.parent
PACKAGES = ("study", "trainables", "analysis")
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if ">>> " in path.read_text()
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name):
    ran = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert ran.attempted
    assert not ran.failed


def test_the_readmes_study_can_be_trained(tmp_path):
    (example,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    file = tmp_path / "my_study.yaml"
    file.write_text(example)
    plan = Plan(load_study(str(file)))
    plan.check()
    assert len(plan.cells) == 12
