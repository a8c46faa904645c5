import pytest
from whole_studies import TINY

from study.config.definition import load_study
from study.config.plain import plain
from study.config.problems import SpecError
from study.config.ranges import Choice, Int, LogUniform, Range, Uniform, condition_holds, dependency_order
from study.config.resources import StageResources
from study.config.search import ASHA, NoPruner, SearchSpec
from study.config.settings import parse
from study.config.spec import ImageNetStart, RandomStart, StudySpec
from trainables.pretext.method import Method

SMALL = {"name": "small", "data": {}, "network": "unet", "pretext": {"method": "simclr"}}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"uniform": [0, 1]}, Uniform(0.0, 1.0)),
        ({"loguniform": ["1e-5", 1e-2]}, LogUniform(1e-5, 1e-2)),
        ({"int": [1, 8]}, Int(1, 8)),
        ({"choice": ["adam", "sgd", None, True, 2, 0.5]}, Choice(("adam", "sgd", None, True, 2, 0.5))),
        ({"name": "uniform", "low": 0, "high": 1}, Uniform(0.0, 1.0)),
        ({"int": [1, 8], "when": {"a.b": ["x", "y"]}}, Int(1, 8, when={"a.b": ["x", "y"]})),
        ({"choice": [1, 2], "when": {"a": 3}}, Choice((1, 2), when={"a": 3})),
    ],
)
def test_ranges_have_a_short_form(written, meant):
    assert parse(Range, written) == meant
    assert parse(Range, plain(meant)) == meant


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"uniform": [1, 0]}, "low is 1.0, high is 0.0, expected low < high"),
        ({"loguniform": [0, 1]}, "low is 0.0, expected more than 0"),
        ({"int": [1, 2.5]}, "high: found 2.5, expected a whole number"),
        ({"int": [1, 2, 3]}, r"expected int: \[low, high\]"),
        ({"uniform": 3}, r"expected uniform: \[low, high\]"),
        ({"choice": []}, "expected at least one value and no duplicates"),
        ({"choice": [1, 1]}, "expected at least one value and no duplicates"),
        ({"choice": [[1, 2]]}, r"values\[0\]: found a list of 1|values\[0\]: found a list of 2"),
        ({"logunifrom": [1, 2]}, "unknown range 'logunifrom'; did you mean 'loguniform'"),
        ([1, 2], "expected the range's name"),
    ],
)
def test_an_invalid_range_is_refused_with_the_reason(written, message):
    with pytest.raises(SpecError, match=message):
        parse(Range, written)


def test_random_and_imagenet_weights_are_given_as_the_method():
    assert parse(Method, "random") == RandomStart()
    assert parse(Method, {"name": "imagenet", "weights": "/w.pt"}) == ImageNetStart("/w.pt")
    spec = parse(StudySpec, {**SMALL, "pretext": {"method": "imagenet"}})
    assert spec.pretext.method == ImageNetStart()
    assert parse(StudySpec, plain(spec)) == spec


def test_pruners_go_by_name():
    assert parse(SearchSpec, {"pruner": "none"}).pruner == parse(SearchSpec, {}).pruner == NoPruner()
    assert parse(SearchSpec, {"pruner": {"name": "asha", "min_epochs": 2}}).pruner == ASHA(2, 3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "a/b"}, "name is 'a/b', expected letters"),
        ({"name": "../x"}, "expected letters"),
        ({"replicates": 0}, "runs is 0, expected a whole number from 1 to 10,000"),
        ({"search": {"trials": 0}}, "search: trials is 0"),
        ({"search": {"sampler": "tpr"}}, "search.sampler: unknown choice 'tpr'; did you mean 'tpe'"),
        ({"search": {"pruner": {"name": "asha", "reduction": 1}}}, "search.pruner: reduction is 1"),
        ({"resources": {"pretext": {"workers": 0}}}, "resources.pretext: workers is 0"),
        (
            {"resources": {"downstream": {"workers": 2, "gpus": 2}}},
            r"resources\.downstream: gpus is 2, expected at most 1, .* Fix: set workers to 4 and gpus to 1",
        ),
        ({"resources": {"downstream": {"gpus": 1.5}}}, r"gpus is 1\.5, .* Fix: set workers to 2 and gpus to 1"),
        ({"resources": {"downstream": {"gpus": -1}}}, "gpus is -1, expected auto, 0, 1 or a fraction"),
        (
            {"resources": {"pretext": {"workers": 2, "gpus": 0.5}}},
            r"resources\.pretext: gpus is 0\.5 for 2 workers, expected 0 or 1, .* Fix: set gpus to 1, or workers to 1",
        ),
        ({"resources": {"downstream": {"cpus": 0}}}, "resources.downstream: cpus is 0"),
        ({"network": {"name": "unet3d", "backbone": "resnet18"}}, "network: unet3d requires the backbone unet_encoder"),
        (
            {"network": {}},
            "network: found an empty mapping, expected the network's name; known: deeplabv3, linear, nnunet, setr, ",
        ),
    ],
)
def test_impossible_studies_are_refused(values, message):
    with pytest.raises(SpecError, match=message):
        parse(StudySpec, {**SMALL, **values})


def test_a_fraction_of_a_gpu_may_be_requested():
    resources = parse(
        StudySpec, {**SMALL, "resources": {"downstream": {"gpus": 0.5}, "pretext": {"workers": 8, "gpus": 1}}}
    )
    assert resources.resources.downstream == StageResources(1, 1.0, 0.5)
    assert resources.resources.pretext == StageResources(8, 1.0, 1.0)


def test_all_missing_and_unknown_keys_are_reported_at_once():
    with pytest.raises(SpecError) as raised:
        parse(StudySpec, {"nam": "x"})
    assert [problem.keys for problem in raised.value.problems] == [
        ("nam",),
        ("name",),
        ("data",),
        ("network",),
        ("pretext",),
    ]


def test_settings_come_after_those_in_their_conditions():
    space = {"c": Int(1, 2, when={"b": 1}), "b": Int(1, 2, when={"a": 1, "elsewhere": 0}), "a": Int(1, 2)}
    assert dependency_order(space) == ["a", "b", "c"]
    with pytest.raises(SpecError, match="circular `when` conditions: a, b"):
        parse(SearchSpec, {"space": {"a": Int(1, 2, when={"b": 1}), "b": Int(1, 2, when={"a": 1})}})


def test_a_condition_holds_where_every_setting_has_one_of_its_values():
    values = {"x": 1, "optimizer": {"name": "sgd", "lr": 0.1}, "none": None}
    assert condition_holds({}, values.get)
    assert condition_holds({"x": 1, "optimizer": ["adam", "sgd"], "none": None}, values.get)
    assert not condition_holds({"x": 1, "optimizer": "adam"}, values.get)
    assert not condition_holds({"y": 1}, values.get)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objectives": ["val/dice", "val/dise"]}, "unknown objective 'val/dise'; did you mean 'val/dice'"),
        ({"objectives": ["seconds"]}, "expected val/dice first"),
        ({"objectives": ["val/dice", "seconds"], "sampler": "cmaes"}, "expected for several objectives: tpe, nsga2"),
        ({"objectives": ["val/dice", "seconds"], "pruner": "asha"}, "several objectives do not support pruning"),
        ({"sampler": "nsga2", "startup_trials": 1}, "expected at least 2 for a generation"),
        ({"sampler": "pbt"}, "unknown choice 'pbt'"),
    ],
)
def test_an_impossible_search_is_refused_with_the_reason(settings, message):
    with pytest.raises(SpecError, match=message):
        parse(SearchSpec, settings)


@pytest.mark.parametrize(
    ("search", "pretext", "message"),
    [
        ({"pretext_pruner": "median"}, {}, r"requires a probe \(found null\)"),
        ({"pretext_pruner": "median"}, {"probe": {}}, "requires a searched setting of pretraining"),
    ],
)
def test_a_pretext_pruner_needs_a_probe_and_something_to_compare(search, pretext, message):
    with pytest.raises(SpecError, match=message):
        parse(StudySpec, {**SMALL, "search": search, "pretext": {"method": "simclr", **pretext}})


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (["downstream.validation=none"], "a search chooses by validation. Fix: remove search.space"),
        (
            [
                "downstream.validation=cross_validation",
                "downstream.folds=2",
                "search.objectives=[val/dice, val/smoothness]",
                "search.sampler=nsga2",
                "search.pruner=none",
            ],
            "val/smoothness, which segments sequences of the validation split",
        ),
        (
            [
                "downstream.validation=same",
                "pretext.probe={}",
                "search.pretext_pruner={name: asha}",
                "search.space.pretext.fit.optimizer.lr={loguniform: [1e-4, 1e-2]}",
            ],
            "a probe that reads all validation labels",
        ),
    ],
)
def test_what_needs_other_validation_subjects_is_refused(sets, message):
    with pytest.raises(SpecError, match=message):
        load_study(str(TINY), sets=sets)


def test_all_mistakes_of_a_search_are_reported_at_once():
    with pytest.raises(SpecError) as raised:
        parse(SearchSpec, {"trials": 0, "parallel": 0, "startup_trials": -1, "objectives": ["val/dice", "second"]})
    assert [problem.message.split(" is ")[0].split(";")[0] for problem in raised.value.problems] == [
        "trials",
        "startup_trials",
        "parallel",
        "unknown objective 'second'",
    ]
