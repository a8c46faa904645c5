from pathlib import Path

import pytest

from study.config.datasets import with_data
from study.config.documents import Document
from study.config.problems import SpecError


def given(options, **values):
    document, changed = with_data(Document(values, {}), options)
    return document.values, changed


def test_a_path_goes_to_the_dataset_of_that_layout():
    values, changed = given(["camus=/c"], data={"layout": "camus", "stride": 2}, pretext_data={"layout": "echonet"})
    assert values == {"data": {"layout": "camus", "stride": 2, "path": "/c"}, "pretext_data": {"layout": "echonet"}}
    assert changed == []


def test_both_datasets_may_be_of_one_layout():
    values, _ = given(["echonet=/e"], data={"stride": 2}, pretext_data={"layout": "echonet"})
    assert values["data"]["path"] == values["pretext_data"]["path"] == "/e"


def test_each_dataset_may_have_its_own():
    values, _ = given(["camus=/c", "echonet=/e"], data={"layout": "camus"}, pretext_data={"layout": "echonet"})
    assert (values["data"]["path"], values["pretext_data"]["path"]) == ("/c", "/e")


def test_real_data_takes_the_place_of_a_phantom():
    values, changed = given(["echonet=/e"], data={"layout": "echonet", "phantom": {"subjects": 3}})
    assert values == {"data": {"layout": "echonet", "phantom": None, "path": "/e"}}
    assert changed == ["echonet"]


def test_the_only_dataset_changes_its_layout():
    values, changed = given(["camus=/c"], data={"layout": "echonet", "phantom": {"subjects": 3}, "image_size": 64})
    assert values == {"data": {"layout": "camus", "phantom": None, "path": "/c", "image_size": 64}}
    assert changed == ["camus"]


def test_a_relative_path_is_one_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values, _ = given(["echonet=here"], data={})
    assert Path(values["data"]["path"]) == tmp_path / "here"


def test_the_option_is_named_as_the_source():
    document, _ = with_data(Document({"data": {}}, {}), ["echonet=/e"])
    assert document.locate(("data", "path")) == "--data echonet"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("/some/where", "--data: found '/some/where', expected LAYOUT=PATH"),
        ("echonet=", "expected LAYOUT=PATH"),
        ("camsu=/c", "unknown dataset layout 'camsu'; did you mean 'camus'?"),
        ("camus=/c", "no dataset with the layout 'camus': data is echonet and pretext_data is echonet"),
    ],
)
def test_an_option_that_fits_nothing_is_refused_with_the_reason(option, message):
    with pytest.raises(SpecError) as raised:
        given([option], data={}, pretext_data={"stride": 2})
    assert message in str(raised.value)
