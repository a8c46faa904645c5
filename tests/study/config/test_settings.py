import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.config.plain import canonical, plain
from study.config.problems import SpecError
from study.config.settings import parse
from study.config.spec import COMPONENTS
from trainables.augment.policies import POLICIES
from trainables.augment.policy import Policy
from trainables.common.registry import Registry


class Shape:
    pass


@dataclass(frozen=True)
class Circle(Shape):
    radius: float = 1.0

    def __post_init__(self) -> None:
        if self.radius <= 0:
            raise ValueError(f"radius is {self.radius}, expected more than 0")


@dataclass(frozen=True)
class Box(Shape):
    width: float
    height: float = 1.0
    corner: Shape | None = None


@dataclass(frozen=True)
class Style:
    colour: Literal["red", "green", "blue"] = "red"
    weights: tuple[float, ...] = ()
    span: tuple[int, int] = (0, 1)
    label: str | None = None


@dataclass(frozen=True)
class Drawing:
    title: str
    count: int = 1
    scale: float = 1.0
    filled: bool = False
    shape: Shape = field(default_factory=lambda: Circle(3.0))
    style: Style = field(default_factory=lambda: Style(colour="blue", span=(2, 3)))
    inks: Mapping[str, float] = field(default_factory=dict)
    target: Path | None = None
    size: float | Literal["auto"] = "auto"
    mixed: tuple[bool | int | float | str | None, ...] = ()


CHOICES = {Shape: (Registry("shape", {"circle": Circle}), Registry("box", {"box": Box}))}


def drawing(**values):
    return parse(Drawing, {"title": "x", **values}, CHOICES)


def problems(**values) -> list[str]:
    with pytest.raises(SpecError) as raised:
        drawing(**values)
    return [str(problem) for problem in raised.value.problems]


def test_values_become_what_the_annotations_say():
    assert drawing(
        count=3.0,
        scale=2,
        filled=True,
        shape={"name": "box", "width": 2, "corner": "circle"},
        style={"colour": "green", "weights": [1, 2.5], "span": [4, 5], "label": "l"},
        inks={"a": "1e-4"},
        target="/tmp/x",
        size=3,
        mixed=[True, 1, 0.5, "1", None],
    ) == Drawing(
        "x",
        3,
        2.0,
        True,
        Box(2.0, 1.0, Circle()),
        Style("green", (1.0, 2.5), (4, 5), "l"),
        {"a": 1e-4},
        Path("/tmp/x"),
        3.0,
        (True, 1, 0.5, "1", None),
    )


@pytest.mark.parametrize(("text", "number"), [("1e-4", 1e-4), (" 2.5 ", 2.5), ("-3", -3.0), (7, 7.0)])
def test_numbers_may_be_written_as_text(text, number):
    read = drawing(scale=text).scale
    assert (read, type(read)) == (number, float)


def test_choices_keep_their_types():
    assert [type(value) for value in drawing(mixed=[True, 1, 1.0, "1", None]).mixed] == [
        bool,
        int,
        float,
        str,
        type(None),
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scale": "fast"}, "scale: found 'fast', expected a number"),
        ({"scale": True}, "scale: found true, expected a number"),
        ({"scale": float("nan")}, "scale: found nan, expected a number"),
        ({"scale": None}, "scale: found nothing, expected a number"),
        ({"count": 2.5}, "count: found 2.5, expected a whole number"),
        ({"count": False}, "count: found false, expected a whole number"),
        ({"filled": 1}, "filled: found 1, expected true or false"),
        ({"filled": "yes"}, "filled: found 'yes', expected true or false"),
        ({"title": 3}, "title: found 3, expected text"),
        ({"target": 3}, "target: found 3, expected a path"),
        ({"style": 3}, "style: found 3, expected settings"),
        ({"style": {"colour": "gren"}}, "style.colour: unknown choice 'gren'; did you mean 'green'?"),
        ({"style": {"colour": 1}}, "style.colour: found 1, expected one of: red, green, blue"),
        ({"style": {"weights": 1}}, "style.weights: found 1, expected a list"),
        ({"style": {"weights": [1, "b"]}}, "style.weights[1]: found 'b', expected a number"),
        ({"style": {"span": [1]}}, "style.span: found a list of 1, expected a list of 2"),
        ({"style": {"label": 1}}, "style.label: found 1, expected text"),
        ({"style": {"color": "red"}}, "style.color: unknown key; did you mean 'colour'?"),
        ({"inks": [1]}, "inks: found a list of 1, expected a mapping"),
        ({"inks": {"a": "b"}}, "inks.a: found 'b', expected a number"),
        ({"shape": "circel"}, "shape: unknown shape 'circel'; did you mean 'circle'?"),
        ({"shape": {"name": "bax"}}, "shape.name: unknown shape 'bax'; did you mean 'box'?"),
        ({"shape": 3}, "shape: found 3, expected the shape's name; known: box, circle"),
        ({"shape": {"name": "box"}}, "shape.width: missing, and it has no default"),
        ({"shape": {"name": "circle", "radius": 0}}, "shape: radius is 0.0, expected more than 0"),
        ({"shape": {"name": "circle", "width": 1}}, "shape.width: unknown key; known: radius"),
        ({"shape": {"name": "box", "width": 1, "corner": {"width": 1}}}, "expected the shape's name"),
        ({"size": "big"}, "size: found 'big', expected a number, or auto"),
        ({"name": "circle"}, "name: unknown key"),
    ],
)
def test_invalid_values_are_reported_with_their_place(values, message):
    (found,) = problems(**values)
    assert message in found


def test_every_problem_is_reported_at_once_with_its_line():
    values = {"count": "many", "shape": {"name": "circle", "radius": -1}, "style": {"colour": "rd", "spam": 1}}
    lines = {("count",): "a:1", ("shape",): "a:2", ("style", "colour"): "a:4", ("style",): "a:3"}

    def where(keys):
        while keys not in lines and keys:
            keys = keys[:-1]
        return lines.get(keys, "a:0")

    with pytest.raises(SpecError) as raised:
        parse(Drawing, values, CHOICES, locate=where)
    assert str(raised.value).splitlines() == [
        "5 problems",
        "  a:1: count: found 'many', expected a whole number",
        "  a:2: shape: radius is -1.0, expected more than 0",
        "  a:4: style.colour: unknown choice 'rd'; did you mean 'red'?",
        "  a:3: style.spam: unknown key; did you mean 'span'?",
        "  a:0: title: missing, and it has no default",
    ]


def test_a_mapping_keeps_the_defaults_of_its_setting():
    assert drawing(style={"label": "l"}).style == Style("blue", (), (2, 3), "l")
    assert drawing(shape={}).shape == Circle(3.0)
    assert drawing(shape={"radius": 2}).shape == Circle(2.0)


def test_a_named_component_starts_from_its_own_defaults():
    assert drawing(shape="circle").shape == drawing(shape={"name": "circle"}).shape == Circle(1.0)


def test_settings_may_be_part_of_the_value():
    assert drawing(shape=Box(3.0)).shape == Box(3.0)


def test_a_component_parsed_as_itself_may_have_its_name():
    assert parse(Box, plain(Box(2.0), CHOICES), CHOICES) == Box(2.0)
    with pytest.raises(SpecError, match="name: unknown key"):
        parse(Box, {"name": "circle", "width": 1}, CHOICES)


numbers = st.floats(allow_nan=False, allow_infinity=False)
shapes = st.deferred(lambda: circles | boxes)
circles = st.builds(Circle, st.floats(1e-300, 1e300))
boxes = st.builds(Box, numbers, numbers, st.none() | shapes)
styles = st.builds(
    Style,
    st.sampled_from(["red", "green", "blue"]),
    st.lists(numbers).map(tuple),
    st.tuples(st.integers(), st.integers()),
    st.none() | st.text(),
)
drawings = st.builds(
    Drawing,
    st.text(),
    st.integers(),
    numbers,
    st.booleans(),
    shapes,
    styles,
    st.dictionaries(st.text(), numbers),
    st.none() | st.just(Path("/a/b")),
    numbers | st.just("auto"),
    st.lists(st.none() | st.booleans() | st.integers() | numbers | st.text()).map(tuple),
)


@given(drawings)
def test_plain_values_read_as_the_same_settings(settings):
    values = plain(settings, CHOICES)
    assert parse(Drawing, values, CHOICES) == settings
    assert parse(Drawing, json.loads(json.dumps(values)), CHOICES) == settings


@given(drawings)
def test_canonical_text_survives_a_journey_through_itself(settings):
    text = canonical(plain(settings, CHOICES))
    assert canonical(json.loads(text)) == text
    assert parse(Drawing, json.loads(text), CHOICES) == settings


def test_canonical_text_is_the_same_for_equal_values():
    assert canonical({"b": 1.0, "a": (1e-4, 0.1, None, True)}) == '{"a":[0.0001,0.1,null,true],"b":1}'
    assert canonical({"a": 1, "b": 2.5}) == canonical({"b": 2.5, "a": 1.0})
    assert canonical([True]) != canonical([1])
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical(float("nan"))


def test_what_has_no_plain_form_is_refused():
    with pytest.raises(TypeError, match="not something that settings can hold"):
        plain({"a": object()}, CHOICES)


@pytest.mark.parametrize(
    ("base", "name", "entry"),
    [
        pytest.param(base, name, entry, id=f"{base.__name__}-{name}")
        for base, registries in COMPONENTS.items()
        for registry in registries
        for name, entry in registry.items()
        if all(
            f.default is not dataclasses.MISSING or f.default_factory is not dataclasses.MISSING
            for f in dataclasses.fields(entry)
        )
    ],
)
def test_every_registered_component_is_read_by_its_name_and_written_with_it(base, name, entry):
    settings = parse(base, name)
    assert settings == entry()
    assert plain(settings)["name"] == name
    assert parse(base, plain(settings)) == settings


@pytest.mark.parametrize("value", ["1e400", "inf", 10**400, "", [1], b"1"])
def test_a_number_is_finite_and_written_as_a_number(value):
    (found,) = problems(scale=value)
    assert found.endswith("expected a number")


@pytest.mark.parametrize(("value", "number"), [("3", 3), (" -4 ", -4), (1e3, 1000), (10**20, 10**20)])
def test_a_whole_number_may_be_written_as_text_or_as_a_float(value, number):
    read = drawing(count=value).count
    assert (read, type(read)) == (number, int)


@pytest.mark.parametrize("value", ["2.5", float("inf"), "x", ""])
def test_a_whole_number_has_no_fraction(value):
    (found,) = problems(count=value)
    assert found.endswith("expected a whole number")


def test_named_settings_may_be_changed_in_part():
    assert parse(Policy, "mild") == POLICIES["mild"]
    changed = parse(Policy, {"name": "ultrasound", "strength": 0.5, "speckle": {"p": 0.1}, "noise": None})
    ultrasound = POLICIES["ultrasound"]
    assert ultrasound.speckle is not None
    speckle = replace(ultrasound.speckle, p=0.1)
    assert changed == replace(ultrasound, strength=0.5, speckle=speckle, noise=None)


@pytest.mark.parametrize("value", ["ultrasoun", {"name": "ultrasoun", "strength": 1}])
def test_an_unknown_name_of_settings_is_refused_with_the_nearest_one(value):
    with pytest.raises(SpecError, match=r"unknown policy 'ultrasoun'; did you mean 'ultrasound'"):
        parse(Policy, value)
