"""Each printed figure of the papers has the cell of the paper profile that measures it."""

import csv
from pathlib import Path

import pytest

from analysis.papers.published import TABLES, published_results
from analysis.temporal.paper import PRINTED, STUDY
from study.config.definition import load_study
from trainables.downstream.test_metrics import BIPLANE
from trainables.external.nnunet.settings import NnUNet
from trainables.registration.training import RegistrationSettings

STUDIES = sorted({row["study"] for row in csv.DictReader(TABLES.open())})
PRINTED_FIGURES = {
    "bai2019_long_axis": 20,
    "bai2019_short_axis": 20,
    "saeed2022_camus": 28,
    "saeed2022_echonet": 24,
    "umapathy2022_liver": 3,
}


@pytest.mark.parametrize("study", STUDIES)
def test_every_figure_of_a_table_names_one_cell(study):
    cells = load_study(study, profile="paper").cells()
    figures = published_results(study)
    assert len(figures) == PRINTED_FIGURES[study]
    measured = [[cell.key for cell in cells if row.matches(cell.levels)] for row in figures]
    assert all(len(found) == 1 for found in measured), dict(zip(figures, measured, strict=True))
    assert len({found[0] for found in measured}) == len(figures)  # no cell stands for two figures


def test_every_figure_of_the_temporal_paper_names_one_cell_and_a_measure_that_it_reports():
    with PRINTED.open(newline="") as file:
        rows = list(csv.DictReader(file))
    study = load_study(STUDY, profile="paper")
    cells = {cell.levels["network"]: study.resolve(cell.overrides) for cell in study.cells()}
    assert {row["network"] for row in rows} == set(cells)
    structures = {"lv", "myocardium", "la"}
    for row in rows:
        place, _, measure = row["measure"].rpartition(" ")
        name, _, of = measure.partition("/")
        known = name in ("dice", "hausdorff", "mean_absolute") and of in structures and place in ("ED", "ES")
        assert known or (name in ("edv", "esv", "ef") and of in ("correlation", "bias", "mae")), row
        spec = cells[row["network"]]
        assert spec.data.structures is None  # all three
        assert spec.data.views is None or set(BIPLANE) <= set(spec.data.views)


def test_the_temporal_study_is_the_papers():
    study = load_study(STUDY, profile="paper")
    specs = {cell.levels["network"]: study.resolve(cell.overrides) for cell in study.cells()}
    assert {name: spec.network for name, spec in specs.items()} == {
        "2d_sparse": NnUNet("2d"),
        "2d_dense": NnUNet("2d"),
        "3d_dense": NnUNet("3d_fullres"),
    }
    registration: RegistrationSettings = study.spec.registration
    steps = registration.fit.steps_per_epoch
    assert steps is not None
    assert registration.fit.epochs * steps == 10_000
    assert registration.fit.batch_size == registration.network.kernels == registration.network.kernel_size == 32
    assert (study.spec.propagation.blend, study.spec.propagation.warping) == ("threshold", "sequential")
    assert study.spec.downstream.folds == 5


def test_registration_may_learn_on_another_dataset(tmp_path: Path) -> None:
    from study.planning.plan import Plan, datasets_of

    folders = ["ted=/data/ted", "camus=/data/camus"]
    study = load_study(STUDY, profile="ted", data=folders, sets=["registration_data.exclude=[patient0001]"])
    assert {type(each.layout).__name__: (each.path, each.exclude) for each in datasets_of(study)} == {
        "Ted": ("/data/ted", ()),
        "Camus": ("/data/camus", ("patient0001",)),
    }
    other = load_study(STUDY, profile="ted", data=folders)
    (cell,) = study.cells()
    digests = [{job.kind: job.digest for job in Plan(each).shared_jobs(cell.key, {})} for each in (study, other)]
    assert all(digests[0][kind] != digests[1][kind] for kind in ("registration", "propagation"))
