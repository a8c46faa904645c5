from pathlib import Path

import pytest

import search_spaces
from study.config.catalog import available, find
from trainables.common.errors import UserError

STUDY = "title: {title}\ndata: {{}}\nnetwork: unet\npretext: {{method: simclr}}\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A current folder with studies of its own, and a library with others."""
    folder, library = tmp_path / "here", tmp_path / "library"
    for place, names in ((folder, ("mine", "both")), (library, ("both", "shipped"))):
        place.mkdir()
        for name in names:
            (place / f"{name}.yaml").write_text(STUDY.format(title=f"{name} in {place.name}"))
    (folder / "cluster.yaml").write_text("cluster_name: x\n")
    (folder / "broken.yaml").write_text("a: [\n")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(search_spaces, "FOLDER", library)
    return folder


def test_a_study_is_a_path_or_a_name_here_or_in_the_library(here):
    library = here.parent / "library"
    assert find("mine") == Path("mine.yaml")
    assert find("both") == Path("both.yaml")
    assert find("shipped") == library / "shipped.yaml"
    assert find(str(library / "both.yaml")) == library / "both.yaml"


def test_an_unknown_name_is_refused_with_the_nearest_and_the_list(here):
    with pytest.raises(UserError, match=r"no study 'shiped'; did you mean 'shipped'\?; known: both, mine, shipped"):
        find("shiped")
    with pytest.raises(UserError, match=r"^no study 'qqqq'; known: both, mine, shipped$"):
        find("qqqq")
    with pytest.raises(UserError, match=r"gone\.yaml: no such study file"):
        find("gone.yaml")


def test_the_list_has_studies_only_and_the_nearer_of_two(here):
    assert available() == [("both", "both in here"), ("mine", "mine in here"), ("shipped", "shipped in library")]
