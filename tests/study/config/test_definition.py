import json
import time
from pathlib import Path

import pytest

from study.config.definition import Study, load_study
from study.config.plain import canonical, plain
from study.config.problems import SpecError
from study.config.settings import parse
from study.config.spec import StudySpec
from study.planning.plan import Plan
from study.scheduling.cell_search import CellSearch
from trainables.data.layouts.camus import Camus

FILE = """\
title: A study for tests
data:
  layout: echonet
  phantom: {subjects: 20}
network:
  name: deeplabv3
  backbone: {name: resnet_tiny, width: 8}
pretext:
  method: {name: simclr, temperature: 0.2}
  fit: {epochs: 2}
downstream:
  fit:
    epochs: 4
    optimizer: {name: adam, lr: 1e-3}
factors:
  pretext.method: [random, simclr, byol]
  downstream.label_fraction: [0.5, 1.0]
search:
  trials: 3
  space:
    downstream.fit.optimizer.lr: {loguniform: [1e-4, 1e-2]}
replicates: 2
profiles:
  paper:
    downstream: {fit: {epochs: 300}}
    factors: {downstream.label_fraction: null}
    search: {space: {downstream.fit.optimizer.lr: null}}
"""


@pytest.fixture
def path(tmp_path) -> Path:
    path = tmp_path / "tested.yaml"
    path.write_text(FILE)
    return path


def problems(path: Path, *, text: str | None = None, **options) -> list[str]:
    """Return the problems of a study file, without the folder's name."""
    if text is not None:
        path.write_text(text)
    with pytest.raises(SpecError) as raised:
        load_study(str(path), **options)
    return [str(problem).replace(f"{path.parent}/", "") for problem in raised.value.problems]


def test_an_element_of_a_list_may_be_searched(path):
    area = "pretext.augment={crop: {area: [0.3, 1.0]}}"
    searched = "search.space.pretext.augment.crop.area.0={uniform: [0.1, 0.9]}"
    study = load_study(str(path), sets=[area, searched])
    spec = study.resolve({"pretext.method": "simclr", "pretext.augment.crop.area.0": 0.5})
    assert spec.pretext.augment.crop.area == (0.5, 1.0)
    beyond = problems(path, sets=[area, searched.replace("area.0", "area.2")])
    assert any("search.space.pretext.augment.crop.area.2" in problem for problem in beyond)


@pytest.mark.parametrize("dropped", ["search.space.downstream.fit.optimizer.lr=null", "search.space=null"])
def test_null_drops_one_range_or_all(path, dropped):
    assert "downstream.fit.optimizer.lr" in load_study(str(path)).spec.search.space
    assert load_study(str(path), sets=[dropped]).spec.search.space == {}


def test_a_study_is_its_cells_and_their_settings(path):
    study = load_study(str(path))
    assert study.spec.name == "tested"
    assert [cell.key for cell in study.cells()] == [
        f"method={method},label_fraction={fraction}"
        for method in ("random", "simclr", "byol")
        for fraction in ("0.5", "1.0")
    ]
    specs = [study.resolve(cell.overrides) for cell in study.cells()]
    assert [plain(spec.pretext.method)["name"] for spec in specs] == ["random"] * 2 + ["simclr"] * 2 + ["byol"] * 2
    assert [spec.downstream.label_fraction for spec in specs] == [0.5, 1.0] * 3
    assert specs[0] == study.spec


def test_a_level_keeps_what_the_file_says_of_the_same_component(path):
    study = load_study(str(path))
    assert study.resolve({"pretext.method": "simclr"}).pretext.method.temperature == 0.2
    assert (
        study.resolve({"pretext.method": "byol"}).pretext.method
        == parse(StudySpec, {"name": "x", "data": {}, "network": "unet", "pretext": {"method": "byol"}}).pretext.method
    )


def test_overrides_reach_into_components_in_short_form(path):
    path.write_text(path.read_text().replace("{name: simclr, temperature: 0.2}", "byol"))
    study = load_study(str(path))
    changed = study.resolve({"pretext.method": "simclr", "pretext.method.temperature": 0.7})
    assert changed.pretext.method.temperature == 0.7
    assert changed.pretext.fit == study.spec.pretext.fit


def test_settings_do_not_depend_on_what_was_resolved_before(path):
    study = load_study(str(path))
    for rate in (1e-4, 3e-4, 1e-3):
        for cell in study.cells():
            overrides = {**cell.overrides, "downstream.fit.optimizer.lr": rate}
            resolved = study.resolve(overrides)
            assert resolved == load_study(str(path)).resolve(overrides)
            assert resolved.downstream.fit.optimizer.lr == rate


def test_the_document_is_the_study(path):
    study = load_study(str(path))
    values = json.loads(json.dumps(study.document()))
    assert parse(StudySpec, values) == study.spec
    assert canonical(values) == canonical(load_study(str(path)).document())


def test_a_profile_may_drop_factors_and_ranges(path):
    study = load_study(str(path), profile="paper")
    assert study.spec.name == "tested-paper"
    assert study.spec.downstream.fit.epochs == 300
    assert [factor.name for factor in study.spec.factors] == ["method"]
    assert study.spec.search.space == {}


def test_sets_go_over_profiles(path):
    study = load_study(str(path), profile="paper", sets=["downstream.fit.epochs=7", "factors.data.stride=[1, 2]"])
    assert study.spec.downstream.fit.epochs == 7
    assert [cell.key for cell in study.cells()][:2] == ["method=random,stride=1", "method=random,stride=2"]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "tested"),
        ({"profile": "paper"}, "tested-paper"),
        ({"data": ["camus=/c"]}, "tested-camus"),
        ({"data": ["echonet=/e"]}, "tested-echonet"),
        ({"data": ["echonet=/e"], "sets": ["data.phantom=null"]}, "tested"),
        ({"profile": "paper", "data": ["camus=/c"]}, "tested-paper-camus"),
        ({"profile": "paper", "name": "mine"}, "mine"),
        ({"sets": ["name=other"]}, "other"),
    ],
)
def test_the_name_says_what_is_run(path, options, name):
    assert load_study(str(path), **options).spec.name == name


def test_real_data_takes_the_place_of_the_phantom(path):
    data = load_study(str(path), data=["camus=/c"]).spec.data
    assert (data.layout, data.path, data.phantom) == (Camus(), "/c", None)


def test_every_problem_of_a_file_is_reported_at_once_with_its_line(path):
    text = FILE.replace("lr: 1e-3", "lr: fast").replace("trials: 3", "trails: 3").replace("simclr, byol", "simlr, byol")
    text = text.replace("layout: echonet", "layuot: echonet").replace("temperature: 0.2", "temperature: 0")
    text = text.replace("    downstream.fit.optimizer.lr: {log", "    downstream.fit.optimizer.l: {log")
    assert sorted(problems(path, text=text)) == [
        "tested.yaml:14: downstream.fit.optimizer.lr: found 'fast', expected a number",
        "tested.yaml:16 (method=simlr): pretext.method: unknown pretext method 'simlr'; did you mean 'simclr'?",
        "tested.yaml:19: search.trails: unknown key; did you mean 'trials'?",
        "tested.yaml:21: search.space.downstream.fit.optimizer.l: unknown key; did you mean 'lr'?",
        "tested.yaml:3: data.layuot: unknown key; did you mean 'layout'?",
    ]


def test_a_set_is_named_as_the_source_of_its_problem(path):
    assert problems(path, sets=["pretext.fitt.epochs=3", "downstream.fit.epochs=many"]) == [
        "--set pretext.fitt.epochs: pretext.fitt: unknown key; did you mean 'fit'?",
        "--set downstream.fit.epochs: found 'many', expected a whole number",
    ]


@pytest.mark.parametrize(
    ("factor", "message"),
    [
        ("pretext.methd: [byol]", "tested.yaml:18 (methd=byol): pretext.methd: unknown key; did you mean 'method'?"),
        (
            "downstream.labels: [0, 2]",
            "tested.yaml:18 (labels=0): downstream: labels is 0, expected at least 1 subject",
        ),
        (
            "size: {small: {data.image_size: 32}, tiny: {data.image_size: 4}}",
            "tested.yaml:18 (size=tiny): data: image_size 4: expected a whole number from 8 to 4096",
        ),
        (
            "network: [deeplabv3, {name: unet, widht: 3}]",
            "tested.yaml:18 (network=unet): network.widht: unknown key",
        ),
    ],
)
def test_an_invalid_level_is_reported_with_its_place(path, factor, message):
    text = FILE.replace("1.0]\n", f"1.0]\n  {factor}\n")
    (problem,) = problems(path, text=text)
    assert message in problem


def test_incompatible_levels_are_reported(path):
    text = FILE.replace("  downstream.label_fraction: [0.5, 1.0]\n", "  pretext.method.temperature: [0.1, 0.5]\n")
    (random, byol) = problems(path, text=text)
    assert random.startswith("tested.yaml:16 (method=random): pretext.method.temperature: unknown key")
    assert byol.startswith("tested.yaml:16 (method=byol): pretext.method.temperature: unknown key")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("downstream.fit.epochs: {uniform: [1, 9]}", "found 4.055728, expected a whole number"),
        ("downstream.fit.optimizer: {choice: [adam, sdg]}", "unknown optimizer 'sdg'; did you mean 'sgd'?"),
        ("downstream.label_fraction: {uniform: [0.1, 1]}", "is also set by the factor 'label_fraction'"),
        ("data.stride: {int: [1, 2]}", "is not a setting that can be searched; known: downstream, network, pretext"),
        ("downstream.augment.strenth: {uniform: [0, 1]}", "unknown key; did you mean 'strength'?"),
        ("pretext.method.temperature: {uniform: [0.1, 1]}", "(in the cell method=byol,label_fraction=0.5)"),
        (
            "downstream.augment.strength: {uniform: [0, 1], when: {downstream.fit.optimzer: adam}}",
            "when: no cell has a setting 'downstream.fit.optimzer'; "
            "downstream.fit.optimzer: unknown key; did you mean 'optimizer'?",
        ),
        (
            "downstream.augment.strength: {uniform: [0, 1], when: {pretext.method: [byol, simlr]}}",
            "when: no cell accepts this value; pretext.method: unknown pretext method 'simlr'; did you mean 'simclr'?",
        ),
        (
            "downstream.fit.optimizer.momentum: {uniform: [0, 0.9], when: {downstream.fit.epochs: 4}}",
            "unknown key",
        ),
    ],
)
def test_a_range_that_is_invalid_in_some_cell_is_reported_with_its_place(path, entry, message):
    text = FILE.replace("1e-2]}\n", f"1e-2]}}\n    {entry}\n")
    found = problems(path, text=text)
    assert all(problem.startswith(f"tested.yaml:22: search.space.{entry.split(':')[0]}: ") for problem in found)
    assert message in found[0]


@pytest.mark.parametrize(
    ("choices", "setting", "message"),
    [
        ("[simclr, masked]", "mask_rato", "pretext.method.mask_rato: unknown key; did you mean 'mask_ratio'?"),
        ("[simclr, maskd]", "mask_ratio", "pretext.method: unknown pretext method 'maskd'; did you mean 'masked'?"),
    ],
)
def test_a_problem_of_a_searched_component_is_reported_at_the_nearest_range(path, choices, setting, message):
    ranges = f"""1e-2]}}
    pretext.method: {{choice: {choices}}}
    pretext.method.{setting}: {{uniform: [0.1, 0.9], when: {{pretext.method: masked}}}}
"""
    text = FILE.replace("1e-2]}\n", ranges).replace("  pretext.method: [random, simclr, byol]\n", "")
    found = problems(path, text=text)
    assert [problem.partition(": search.space.")[2] for problem in found] == [message]


def test_a_searched_component_and_its_settings(path):
    text = FILE.replace("1e-2]}\n", "1e-2]}\n    downstream.fit.optimizer: {choice: [adam, madgrad]}\n")
    path.write_text(text)
    study = load_study(str(path))
    changed = study.resolve({"downstream.fit.optimizer": "madgrad", "downstream.fit.optimizer.lr": 5e-3})
    assert plain(changed.downstream.fit.optimizer)["name"] == "madgrad"
    assert changed.downstream.fit.optimizer.lr == 5e-3


def test_an_override_of_what_does_not_exist_is_refused(path):
    study = load_study(str(path))
    with pytest.raises(SpecError, match=r"downstream.fit.optimizer.lrr: unknown key; did you mean 'lr'\?"):
        study.resolve({"downstream.fit.optimizer.lrr": 1})


def test_five_thousand_cells_are_declared_and_resolved_in_time(path):
    sets = [f"factors.downstream.fit.epochs={list(range(1, 835))}", "search.space.downstream.fit.optimizer.lr=null"]
    started = time.process_time()
    study: Study = load_study(str(path), sets=sets)
    epochs = {study.resolve(cell.overrides).downstream.fit.epochs for cell in study.cells()}
    assert time.process_time() - started < 3
    assert len(study.cells()) == 5_004
    assert epochs == set(range(1, 835))


def test_a_range_may_belong_to_some_cells_or_to_some_values_of_another(path):
    ranges = """1e-2]}
    pretext.method.temperature: {uniform: [0.1, 1], when: {pretext.method: simclr}}
    downstream.fit.optimizer: {choice: [adam, sgd]}
    downstream.fit.optimizer.momentum: {uniform: [0, 0.9], when: {downstream.fit.optimizer: sgd}}
"""
    path.write_text(FILE.replace("1e-2]}\n", ranges))
    plan = Plan(load_study(str(path)))
    for cell in plan.cells:
        searched = plan.search(cell.key)
        assert ("pretext.method.temperature" in searched.space) == (cell.levels["method"] == "simclr")
        search = CellSearch(searched, seed=0)
        tried = [search.ask().params for _ in range(30)]
        assert {params["downstream.fit.optimizer"] for params in tried} == {"adam", "sgd"}
        for params in tried:
            sgd = params["downstream.fit.optimizer"] == "sgd"
            assert ("downstream.fit.optimizer.momentum" in params) == sgd
            resolved = plan.resolve(cell.key, params)
            assert plain(resolved.downstream.fit.optimizer)["name"] == params["downstream.fit.optimizer"]


def test_a_cell_without_a_range_of_its_own_searches_nothing(path):
    path.write_text(FILE)
    sets = [
        "search.space.downstream.fit.optimizer.lr=null",
        "search.space.pretext.method.temperature={uniform: [0.1, 1], when: {pretext.method: simclr}}",
    ]
    plan = Plan(load_study(str(path), sets=sets))
    trials = {cell.levels["method"]: plan.trials(cell.key) for cell in plan.cells}
    assert trials == {"random": 0, "byol": 0, "simclr": 3}
    assert plan.planned()["trial"] == 6


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("downstream.labels=5", "every level of the factor 'labels' sets it"),
        ("pretext.method=moco", "every level of the factor 'method' sets it. Fix: --set factors.method.LEVEL"),
        ("pretext.fit.epochs=1000000000000", "epochs is 1,000,000,000,000, expected at most 1,000,000"),
        ("downstream.fit.steps_per_epoch=0", "steps_per_epoch is 0, expected a whole number from 1 up"),
        ("data.image_size=1000000", "expected a whole number from 8 to 4096"),
        ("search.trials=1000000", "trials is 1,000,000, expected at most 100,000"),
    ],
)
def test_overrides_without_effect_and_absurd_numbers_are_refused(text, problem):
    with pytest.raises(SpecError, match=problem):
        load_study("quickstart", sets=[text])


def test_an_override_of_a_level_has_an_effect():
    study = load_study("quickstart", sets=["factors.labels.3.downstream.fit.epochs=7"])
    few = next(cell for cell in study.cells() if cell.levels["labels"] == "3")
    assert study.resolve(few.overrides).downstream.fit.epochs == 7
