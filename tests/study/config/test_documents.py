import copy
from pathlib import Path

import pytest

from study.config.documents import Document, merge, override_paths, read, split_path, with_profile, with_sets
from study.config.problems import SpecError
from trainables.common.errors import UserError


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def test_fragments_merge_in_order_under_the_file_that_includes_them(tmp_path):
    write(tmp_path, main="include: [one, two.yaml]\nb: {y: 30}\n".replace("one", "one.yaml"))
    write(tmp_path, one="a: 1\nb: {x: 1, y: 1, z: 1}\nl: [1, 2]\n", two="b: {y: 20, z: 20}\nl: [3]\n")
    document = read(tmp_path / "main.yaml", tmp_path)
    assert document.values == {"a": 1, "b": {"x": 1, "y": 30, "z": 20}, "l": [3]}
    places = {key: document.locate(("b", key)).removeprefix(f"{tmp_path}/") for key in "xyz"}
    assert places == {"x": "one.yaml:2", "y": "main.yaml:2", "z": "two.yaml:1"}


def test_a_fragment_is_searched_in_the_folder_of_the_file_then_in_the_library(tmp_path):
    library = write(tmp_path / "library", shared="a: library\n", own="a: library\n")
    folder = write(tmp_path / "mine", main="include: own.yaml\n", other="include: shared.yaml\n", own="a: mine\n")
    assert read(folder / "main.yaml", library).values == {"a": "mine"}
    assert read(folder / "other.yaml", library).values == {"a": "library"}


def test_the_same_fragment_may_come_by_two_ways(tmp_path):
    write(tmp_path, main="include: [b.yaml, c.yaml]\n", b="include: d.yaml\n", c="include: d.yaml\n", d="x: 1\n")
    assert read(tmp_path / "main.yaml", tmp_path).values == {"x": 1}


def test_include_cycles_are_refused_where_they_close(tmp_path):
    write(tmp_path, main="a: 1\ninclude: [b.yaml]\n", b="include:\n  - c.yaml\n", c="x: 1\ny: 2\ninclude: main.yaml\n")
    with pytest.raises(SpecError, match=r"c\.yaml:3: include: 'main\.yaml' includes itself through c\.yaml"):
        read(tmp_path / "main.yaml", tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\ninclude: [x.yaml, gone.yaml]\n", r"main\.yaml:2: include: no file 'gone\.yaml' in"),
        ("include: {a: 1}\n", r"main\.yaml:1: include: found a mapping \(a\), expected a list of files"),
        ("- 1\n", r"main\.yaml:1: found a list of 1, expected settings"),
        ("", r"main\.yaml:1: found nothing, expected settings"),
    ],
)
def test_a_file_that_is_no_study_is_refused_with_what_it_is(tmp_path, text, message):
    write(tmp_path, main=text, x="x: 1\n")
    with pytest.raises(SpecError, match=message):
        read(tmp_path / "main.yaml", tmp_path)


def test_an_unreadable_file_is_refused_with_the_reason(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        read(tmp_path / "gone.yaml", tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9\n")
    with pytest.raises(UserError, match="not UTF-8"):
        read(tmp_path / "latin.yaml", tmp_path)


def test_a_profile_goes_over_the_file_and_says_where_from(tmp_path):
    write(tmp_path, main="a: {b: 1, c: 1}\nprofiles:\n  smoke:\n    a: {b: 2}\n  paper: {}\n")
    document = read(tmp_path / "main.yaml", tmp_path)
    smoke = with_profile(document, "smoke")
    assert smoke.values == {"a": {"b": 2, "c": 1}}
    assert smoke.locate(("a", "b")) == f"{tmp_path}/main.yaml:4 (profile smoke)"
    assert smoke.locate(("a", "c")) == f"{tmp_path}/main.yaml:1"
    assert with_profile(document, None).values == with_profile(document, "paper").values == {"a": {"b": 1, "c": 1}}
    with pytest.raises(SpecError, match=r"main\.yaml:2: profiles: no profile 'smok'; did you mean 'smoke'\?"):
        with_profile(document, "smok")
    with pytest.raises(SpecError, match="no profile 'smoke'; the study has no profiles"):
        with_profile(smoke, "smoke")


def test_sets_are_yaml_and_go_over_everything():
    document = Document({"a": {"b": 1, "keep": 2}}, {("a",): "x.yaml:1", ("a", "b"): "x.yaml:1"})
    changed = with_sets(document, ["a.b=1e-4", "a.list=[1, {c: x}]", "new.deep=text=with=equals", "a.empty="])
    assert changed.values == {
        "a": {"b": 1e-4, "keep": 2, "list": [1, {"c": "x"}], "empty": None},
        "new": {"deep": "text=with=equals"},
    }
    assert changed.locate(("a", "b")) == "--set a.b"
    assert changed.locate(("a", "list", 1, "c")) == "--set a.list"
    assert changed.locate(("a",)) == "x.yaml:1"
    assert document.values == {"a": {"b": 1, "keep": 2}}


def test_a_place_from_0_replaces_an_element_of_a_list():
    values = {"crop": {"area": [0.3, 1.0]}, "rates": [1, 2, 3]}
    assert override_paths(values, {"crop.area.0": 0.5, "rates.2": 9}) == {
        "crop": {"area": [0.5, 1.0]},
        "rates": [1, 2, 9],
    }
    assert values["crop"]["area"] == [0.3, 1.0]
    assert override_paths(values, {"rates.3": 9})["rates"] == {"3": 9}  # no element: refused where it is parsed
    assert override_paths(values, {"rates": [5]})["rates"] == [5]


@pytest.mark.parametrize("text", ["a.b", "=1", "a..b=1"])
def test_a_set_of_another_form_is_refused(text):
    with pytest.raises(SpecError, match=r"expected dotted\.path=value"):
        with_sets(Document({}, {}), [text])


def test_a_set_that_is_no_yaml_names_itself():
    with pytest.raises(SpecError, match=r"^--set a\.b: not YAML"):
        with_sets(Document({}, {}), ["a.b=[1"])


@pytest.mark.parametrize(
    ("base", "over", "merged"),
    [
        ("simclr", {"t": 1}, {"name": "simclr", "t": 1}),
        ("simclr", {"name": "simclr", "t": 1}, {"name": "simclr", "t": 1}),
        ("simclr", {"name": "byol", "m": 1}, {"name": "byol", "m": 1}),
        ({"name": "simclr", "t": 1}, {"name": "simclr", "w": 2}, {"name": "simclr", "t": 1, "w": 2}),
        ({"name": "simclr", "t": 1}, {"w": 2}, {"name": "simclr", "t": 1, "w": 2}),
        ({"name": "simclr", "t": 1}, {"name": "byol"}, {"name": "byol"}),
        ({"name": "simclr", "t": 1}, "byol", "byol"),
        ({"name": "simclr", "t": 1}, "simclr", {"name": "simclr", "t": 1}),
        ({"t": 1}, {"name": "byol"}, {"name": "byol"}),
        ({"t": 1}, None, None),
        ([1, 2, 3], [4], [4]),
        (1, {"a": 1}, {"a": 1}),
    ],
)
def test_components_merge_with_their_own_kind_only(base, over, merged):
    before = copy.deepcopy(base)
    assert merge({"x": base}, {"x": over}) == {"x": merged}
    assert base == before


def test_the_name_of_the_study_is_no_component():
    assert merge({"name": "a", "x": 1}, {"name": "b"}) == {"name": "b", "x": 1}


def test_factors_and_ranges_are_replaced_whole():
    base = {"factors": {"f": {"one": {}, "two": {}}}, "search": {"trials": 1, "space": {"a.b": {"uniform": [0, 1]}}}}
    over = {"factors": {"f": {"three": {}}}, "search": {"space": {"a.b": {"choice": [1]}, "c": {"int": [1, 2]}}}}
    assert merge(base, over) == {
        "factors": {"f": {"three": {}}},
        "search": {"trials": 1, "space": {"a.b": {"choice": [1]}, "c": {"int": [1, 2]}}},
    }


def test_overriding_shares_what_it_does_not_touch():
    values = {"a": {"x": {"deep": 1}, "y": {"deep": 2}}, "b": {"z": 3}}
    before = copy.deepcopy(values)
    changed = override_paths(values, {"a.x.deep": 5})
    assert changed == {"a": {"x": {"deep": 5}, "y": {"deep": 2}}, "b": {"z": 3}}
    assert changed["b"] is values["b"]
    assert changed["a"]["y"] is values["a"]["y"]
    assert values == before


def test_a_component_is_overridden_before_its_own_settings():
    values = {"p": {"method": {"name": "simclr", "t": 1}}}
    changed = override_paths(values, {"p.method.m": 0.9, "p.method": "byol"})
    assert changed == {"p": {"method": {"name": "byol", "m": 0.9}}}


def test_a_dotted_path_meets_keys_with_dots():
    values = {"factors": {"a.b": [1]}, "search": {"space": {}}, "a": {"b": 1}}
    assert split_path("factors.a.b", values) == ("factors", "a.b")
    assert split_path("factors.c.d", values) == ("factors", "c.d")
    assert split_path("search.space.a.b", values) == ("search", "space", "a.b")
    assert split_path("a.b.c", values) == ("a", "b", "c")


def test_a_profile_replaces_a_factor_of_an_included_profile_as_a_whole(tmp_path):
    base = "profiles: {small: {factors: {policy: {a: {}, b: {}}, labels: {x: {}}}}}\n"
    write(tmp_path, main="include: base.yaml\nprofiles: {small: {factors: {policy: {c: {}}}}}\n", base=base)
    factors = read(tmp_path / "main.yaml", tmp_path).values["profiles"]["small"]["factors"]
    assert factors == {"policy": {"c": {}}, "labels": {"x": {}}}


def test_a_set_of_one_level_keeps_the_others():
    document = Document({"factors": {"method": {"a": {"x.y": 1}, "b": {}}, "n": [1, 2]}}, {})

    def levels(text: str):
        return with_sets(document, [text]).values["factors"]["method"]

    assert levels("factors.method.c={x.y: 2}") == {"a": {"x.y": 1}, "b": {}, "c": {"x.y": 2}}
    assert levels("factors.method.a={x.z: 3}") == {"a": {"x.z": 3}, "b": {}}
    assert levels("factors.method.a.x.z=3") == {"a": {"x.y": 1, "x.z": 3}, "b": {}}
    assert levels("factors.method.0.5={x.y: 4}") == {"a": {"x.y": 1}, "b": {}, "0.5": {"x.y": 4}}
    assert levels("factors.method.b=null") == {"a": {"x.y": 1}}
    assert levels("factors.method={c: {}}") == {"c": {}}
    with pytest.raises(SpecError, match="the factor 'n' lists values"):
        with_sets(document, ["factors.n.3={}"])
