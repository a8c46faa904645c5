"""Lock files: every file that is installed has a hash, and every dependency is locked."""

import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}")


def pins(name: str) -> dict[str, tuple[Requirement, list[str]]]:
    """Return the requirements of a lock and the lines of their hashes, by the package's name."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / name).read_text(), flags=re.MULTILINE)
    found = {}
    for entry in re.split(r"\n(?=\S)", text.rstrip("\n")):
        first, *hashes = entry.split(" \\\n")
        requirement = Requirement(first)
        assert canonicalize_name(requirement.name) not in found, first
        found[canonicalize_name(requirement.name)] = requirement, hashes
    return found


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-nnunet.lock", "requirements-docs.lock"])
def test_every_package_of_a_lock_has_one_version_and_hashes(name):
    for package, (requirement, hashes) in pins(name).items():
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), package
        assert hashes, package
        assert all(HASH.fullmatch(line) for line in hashes), package


def test_only_torch_has_no_hashes():
    locked = pins("requirements-torch.lock")
    assert {package: hashes for package, (_, hashes) in locked.items()} == {"torch": [], "torchvision": []}
    assert all(re.fullmatch(r"==[^*,]+", str(requirement.specifier)) for requirement, _ in locked.values())


def test_the_locks_have_every_dependency_of_this_platform():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    direct = [Requirement(line) for line in (*project["dependencies"], *project["optional-dependencies"]["dev"])]
    locked = pins("requirements.lock") | pins("requirements-torch.lock")
    extras = {canonicalize_name(each.name): each.extras for each in direct}
    needed = [("the project", each) for each in direct]
    for package, (pin, _) in locked.items():
        if pin.marker is None or pin.marker.evaluate():
            wanted = [{"extra": extra} for extra in ("", *extras.get(package, ()))]
            for each in map(Requirement, distribution(package).requires or ()):
                if each.marker is None or any(map(each.marker.evaluate, wanted)):
                    needed.append((package, each))
    for package, each in needed:
        if package == "torch" and re.match("nvidia|cuda|triton", each.name):
            continue
        assert canonicalize_name(each.name) in locked, f"{package} needs {each}"
        (version,) = locked[canonicalize_name(each.name)][0].specifier
        assert each.specifier.contains(version.version, prereleases=True), f"{package} needs {each}"
