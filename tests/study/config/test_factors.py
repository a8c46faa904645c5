import pytest

from study.config.documents import Document
from study.config.factors import FactorReader, cells_of, design_problems
from study.config.spec import Design, Factor


def reader(factors) -> FactorReader:
    return FactorReader(Document({"factors": factors}, {("factors",): "a.yaml:1"}))


def test_a_list_of_values_has_a_level_for_each():
    read = reader(
        {"pretext.method": ["random", {"name": "simclr", "temperature": 0.2}], "downstream.label_fraction": [0.05, 1]}
    )
    assert not read.problems
    assert read.factors == [
        Factor(
            "method",
            {
                "random": {"pretext.method": "random"},
                "simclr": {"pretext.method": {"name": "simclr", "temperature": 0.2}},
            },
        ),
        Factor("label_fraction", {"0.05": {"downstream.label_fraction": 0.05}, "1": {"downstream.label_fraction": 1}}),
    ]


def test_levels_may_be_named_sets_of_settings():
    levels = {"small": {"network": "unet", "data.image_size": 32}, "same": {}}
    assert reader({"size": levels}).factors == [Factor("size", {"small": levels["small"], "same": {}})]


def test_a_level_that_is_null_is_refused_as_it_removes_none():
    (problem,) = reader({"size": {"small": {"data.image_size": 32}, "same": None}}).problems
    assert problem.keys == ("factors", "size", "same")
    assert "found nothing, expected settings" in problem.message
    assert "Fix: leave the level out" in problem.message


def test_factors_whose_paths_end_alike_keep_their_paths_as_names():
    names = [
        factor.name
        for factor in reader({"pretext.fit.epochs": [1], "downstream.fit.epochs": [1], "data.stride": [1]}).factors
    ]
    assert names == ["pretext.fit.epochs", "downstream.fit.epochs", "stride"]


def test_a_factor_that_is_null_is_dropped():
    assert [factor.name for factor in reader({"pretext.method": None, "data.stride": [1, 2]}).factors] == ["stride"]


def test_cells_are_all_combinations_the_last_factor_changing_fastest():
    cells = cells_of(reader({"pretext.method": ["random", "byol"], "downstream.label_fraction": [0.05, 0.25]}).factors)
    assert [cell.key for cell in cells] == [
        "method=random,label_fraction=0.05",
        "method=random,label_fraction=0.25",
        "method=byol,label_fraction=0.05",
        "method=byol,label_fraction=0.25",
    ]
    assert cells[2].levels == {"method": "byol", "label_fraction": "0.05"}
    assert cells[2].overrides == {"pretext.method": "byol", "downstream.label_fraction": 0.05}


ON_OFF = {name: {"on": {}, "off": {f"pretext.augment.{name}": None}} for name in ("crop", "flip", "blur")}


@pytest.mark.parametrize(("kind", "base"), [("one_out", "on"), ("one_in", "off")])
def test_an_ablation_changes_one_factor_at_a_time_from_its_base(kind, base):
    factors = reader({"pretext.method": ["simclr", "byol"], **ON_OFF}).factors
    cells = cells_of(factors, Design(kind, tuple(ON_OFF)))
    assert len(cells) == 2 * (1 + 3)
    for method in ("simclr", "byol"):
        changed = [
            [name for name in ON_OFF if cell.levels[name] != base] for cell in cells if cell.levels["method"] == method
        ]
        assert sorted(changed) == [[], ["blur"], ["crop"], ["flip"]]
    assert len({cell.key for cell in cells}) == len(cells)
    assert len(cells_of(factors, Design(kind))) == 1 + 1 + 3


def test_a_design_of_unknown_factors_is_refused():
    document = Document({"design": {"factors": ["crp"]}}, {("design", "factors"): "a.yaml:3"})
    (problem,) = design_problems(reader(ON_OFF).factors, Design("one_out", ("crp",)), document)
    assert "no factor 'crp'; did you mean 'crop'?" in str(problem)
    with pytest.raises(ValueError, match="expected none for the full design"):
        Design(factors=("crop",))


def test_a_study_without_factors_is_one_cell():
    (cell,) = cells_of(())
    assert (cell.key, cell.levels, cell.overrides) == ("all", {}, {})


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ([1], "a.yaml:1: factors: found a list of 1, expected a mapping of factors"),
        (
            {"pretext.method": []},
            "factors.pretext.method: found a list of 0, expected a list of values, or levels by name",
        ),
        ({"pretext.method": "byol"}, "factors.pretext.method: found 'byol', expected a list of values"),
        (
            {"pretxt.method": ["byol"]},
            "'pretxt.method' is not a setting that a factor can vary; did you mean 'pretext'?",
        ),
        ({"seed": [1, 2]}, "'seed' is not a setting that a factor can vary"),
        ({"pretext.method": ["byol", "byol"]}, "factors.pretext.method[1]: duplicate level 'byol'"),
        ({"data.fractions": [[0.5, 0.5, 0]]}, "factors.data.fractions[0]: this value cannot name a level"),
        ({"size": {"small": 3}}, "factors.size.small: found 3, expected settings by dotted path"),
        ({"size": {"a,b": {"network": "unet"}}}, "found the name 'a,b', expected one without"),
        ({"data.stride": [1], "s": {"x": {"data.stride": 2}}}, "data.stride is also set by the factor 'stride'"),
    ],
)
def test_invalid_factors_are_refused_with_the_reason(factors, message):
    (problem,) = reader(factors).problems
    assert message in str(problem)


def test_every_problem_is_reported_at_once():
    assert len(reader({"seed": [1], "pretext.method": 3, "size": {"x": 1, "y": 2}}).problems) == 4
