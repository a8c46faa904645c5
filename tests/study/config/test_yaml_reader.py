import pytest

from study.config.problems import SpecError
from study.config.yaml_reader import read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E4", 1e4),
        ("-2.5e3", -2500.0),
        (".5", 0.5),
        ("7.", 7.0),
        ("-.inf", -float("inf")),
        ("12", 12),
        ("-3", -3),
        ("010", 10),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("2022-01-01", "2022-01-01"),
        ("1.2.3", "1.2.3"),
        ("'1e-4'", "1e-4"),
        ("random", "random"),
    ],
)
def test_scalars_are_what_they_look_like(text, value):
    read = read_yaml(f"x: {text}", "a.yaml")[0]["x"]
    assert (read, type(read)) == (value, type(value))


def test_every_value_has_its_line():
    values, sources = read_yaml("a:\n  b: 1\n  c:\n    - 2\n    - d: 3\n# note\ne: {f: 4,\n  g: 5}\n", "a.yaml")
    assert values == {"a": {"b": 1, "c": [2, {"d": 3}]}, "e": {"f": 4, "g": 5}}
    lines = {keys: int(where.removeprefix("a.yaml:")) for keys, where in sources.items()}
    assert lines == {
        (): 1,
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "c"): 3,
        ("a", "c", 0): 4,
        ("a", "c", 1): 5,
        ("a", "c", 1, "d"): 5,
        ("e",): 7,
        ("e", "f"): 7,
        ("e", "g"): 8,
    }


def test_keys_stay_as_written():
    assert read_yaml("0.05: 1\ntrue: 2\n", "a.yaml")[0] == {"0.05": 1, "true": 2}


def test_an_alias_has_the_lines_of_its_anchor():
    values, sources = read_yaml("a: &x\n  b: 1\nc: *x\n", "a.yaml")
    assert values == {"a": {"b": 1}, "c": {"b": 1}}
    assert sources["c",] == "a.yaml:3"
    assert sources["c", "b"] == "a.yaml:2"


def test_all_repeated_keys_are_reported_with_both_lines():
    with pytest.raises(SpecError) as raised:
        read_yaml("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n", "x.yaml")
    assert [str(problem) for problem in raised.value.problems] == [
        "x.yaml:4: b.c: duplicate key, first at x.yaml:3",
        "x.yaml:5: a: duplicate key, first at x.yaml:1",
    ]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: [1, 2\n", 3, "not YAML"),
        ("a: 1\nb: !!python/object/apply:os.system [ls]\n", 2, "tag"),
        ("a: 1\nb: !!int abc\n", 2, "tag"),
        ("a: &x\n  b: *x\n", 1, "itself"),
        ("a: {}\nb:\n  <<: {c: 1}\n", 3, "plain text"),
        ("a: 1\n? [b, c]\n: 2\n", 2, "plain text"),
    ],
)
def test_unsupported_yaml_is_refused_with_its_line(text, line, words):
    with pytest.raises(SpecError, match=words) as raised:
        read_yaml(text, "x.yaml")
    assert raised.value.problems[0].location == f"x.yaml:{line}"
