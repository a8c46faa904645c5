import io
import json
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import pytest
from matplotlib.figure import Figure
from rich.console import Console

from analysis.io.load import load
from analysis.report.report import ReportOptions, write_report
from analysis.report.state import state_sentence
from study.cli.status import status_of
from study.planning.jobs import Outcome
from study.storage.events import JobFinished
from study.storage.ledger import Ledger
from study.storage.workspace import StudyFolder
from tests.analysis.described import described

TABLES = ("table", "differences", "pairs", "best", "chosen", "importance", "trials", "label_efficiency")
FIGURES = (
    *("dice_vs_labels", "differences", "paired_subjects", "label_efficiency", "importance", "learning_curves"),
    *(f"{kind}_{amount}" for kind in ("sensitivity", "parallel_coordinates") for amount in ("0.05", "0.25", "1")),
    *("overlays", "worst_cases"),
)
FILES = {
    *("report.html", "summary.md", "files.json"),
    *(f"{name}.{kind}" for name in TABLES for kind in ("csv", "md", "tex", "html")),
    *(f"{name}.{kind}" for name in FIGURES for kind in ("png", "pdf")),
}


SAVEFIG = Figure.savefig


def png_only(figure: Figure, target: io.BytesIO, **options: Any) -> None:
    if options["format"] == "png":
        SAVEFIG(figure, target, **options)


def report(folder: StudyFolder, pdf: bool = False) -> str:
    """Write a report and return its words; its PDF files, which take most of the time, are empty without `pdf`."""
    text = io.StringIO()
    with nullcontext() if pdf else mock.patch.object(Figure, "savefig", png_only):
        assert write_report(folder, Console(file=text, width=160)) == folder.report
    return text.getvalue()


def test_the_notes_of_the_study_file_come_before_the_results(make_study: Callable[..., StudyFolder]) -> None:
    folder = make_study(subjects=4, replicates=2)
    plan = json.loads(folder.plan.read_text())
    folder.plan.write_text(json.dumps({**plan, "notes": ["The paper used other validation images."]}))
    printed = report(folder)
    assert printed.index("The paper used other validation images.") < printed.index("Test Dice")


def test_a_finished_study_gets_everything(make_study: Callable[..., StudyFolder]) -> None:
    folder = make_study(subjects=8, replicates=6)
    printed = report(folder, pdf=True)
    assert {path.name for path in folder.report.iterdir()} == FILES
    assert "The study is finished." in printed
    assert "simclr beats random at 5% labels by" in printed
    assert "Best mean Dice at 5% labels:" in printed
    assert str(folder.report / "report.html") in printed
    assert all(name in printed for name in (*TABLES, *FIGURES))
    assert "simclr at 5% labels reaches the Dice that random reaches with" in " ".join(printed.split())
    assert (folder.report / "overlays.png").read_bytes().startswith(b"\x89PNG")
    assert all((folder.report / f"{name}.pdf").read_bytes().startswith(b"%PDF") for name in FIGURES)
    assert len(pd.read_csv(folder.report / "table.csv")) == 9
    assert len(pd.read_csv(folder.report / "differences.csv")) == 6
    summary = (folder.report / "summary.md").read_text()
    assert "](overlays.png)" in summary
    assert "- simclr beats random" in summary


def test_the_same_study_gives_the_same_tables(make_study: Callable[..., StudyFolder]) -> None:
    folder = make_study(subjects=4)
    report(folder)
    before = {name: (folder.report / name).read_bytes() for name in FILES if not name.endswith(("png", "pdf"))}
    shutil.rmtree(folder.report)
    report(folder)
    assert before == {name: (folder.report / name).read_bytes() for name in before}


@pytest.mark.parametrize("settings", [{"subjects": 1}, {"replicates": 1}, {"subjects": 1, "replicates": 1}])
def test_one_subject_or_replicate_is_reported_with_what_is_lost(
    make_study: Callable[..., StudyFolder], settings: dict[str, int]
) -> None:
    printed = report(make_study(**{"subjects": 3, "fractions": ("0.05",), **settings}))
    assert ("one test subject: no interval" if settings.get("subjects") == 1 else "not of seed") in printed


def test_a_running_study_says_what_is_missing(make_study: Callable[..., StudyFolder]) -> None:
    folder = make_study(subjects=3, finished=4)
    printed = report(folder)
    assert "23 of 27 replicates are missing" in printed
    assert "-" in (folder.report / "table.md").read_text()
    assert pd.read_csv(folder.report / "differences.csv")["row"].tolist() == ["simclr"]


def test_a_study_without_results_is_reported(make_study: Callable[..., StudyFolder]) -> None:
    folder = make_study(subjects=2, finished=0)
    printed = report(folder)
    assert "27 of 27 replicates are missing" in printed
    assert "No results yet." in printed
    assert not (folder.report / "overlays.png").exists()


def test_an_empty_ledger_is_reported(make_study: Callable[..., StudyFolder]) -> None:
    folder = make_study(subjects=2, finished=0)
    folder.ledger.unlink()
    assert "2 of 2 pretrainings, 36 of 36 trials, 27 of 27 replicates" in report(folder)


def test_a_missing_frame_store_costs_only_the_overlays(make_study: Callable[..., StudyFolder]) -> None:
    folder = make_study(subjects=2)
    shutil.rmtree(folder.root.parent.parent / "frames")
    assert "No figures of images:" in report(folder)
    assert (folder.report / "dice_vs_labels.png").exists()


def test_an_older_frame_store_is_told_once_with_the_command_that_replaces_it(
    make_study: Callable[..., StudyFolder],
) -> None:
    folder = make_study(methods=("simclr",), fractions=("1",), replicates=1, subjects=2)
    workspace = folder.root.parent.parent
    meta = workspace / "frames" / "fake" / "meta.json"
    meta.write_text(json.dumps({**json.loads(meta.read_text()), "version": 1}))
    (line,) = (line for line in report(folder).splitlines() if "another format version" in line)
    assert line.startswith(f"No figures of images: {meta.parent}: ")
    assert line.endswith(f". Fix: study report fake --prepare --workspace {workspace}")


def test_a_failed_job_is_named_with_its_reason(make_study: Callable[..., StudyFolder]) -> None:
    folder = make_study(subjects=2, fractions=("1",), finished=8)
    ledger = Ledger(folder.ledger, lambda: 0.0)
    outcome = Outcome("failed", {}, 3, 1.0, "the loss is nan")
    ledger.append(JobFinished("byol-1-replicate-2", "replicate", "method=byol,label_fraction=1", 2, {}, "d", outcome))
    ledger.close()
    printed = report(folder)
    assert "byol-1-replicate-2 failed: the loss is nan." in printed
    assert "The study is finished; 1 job failed and is missing in the tables (see `study status fake`)." in printed
    assert status_of(folder)["state"] == "finished"


def test_a_running_study_tells_missing_and_failed_jobs_apart(make_study: Callable[..., StudyFolder]) -> None:
    folder = make_study(subjects=2, fractions=("1",), finished=7)
    ledger = Ledger(folder.ledger, lambda: 0.0)
    outcome = Outcome("failed", {}, 3, 1.0, "the loss is nan")
    ledger.append(JobFinished("byol-1-replicate-2", "replicate", "method=byol,label_fraction=1", 2, {}, "d", outcome))
    ledger.close()
    state = state_sentence(load(folder))
    assert state.startswith("The study is not finished: 2 of 9 replicates are missing.")
    assert state.endswith("1 job failed (see `study status fake`).")
    assert status_of(folder)["state"] == "unfinished"


def test_another_arrangement_keeps_the_conclusions_and_the_usual_report(make_study: Callable[..., StudyFolder]) -> None:
    folder = make_study(subjects=4)
    report(folder)
    usual = {path.name: path.read_bytes() for path in folder.report.iterdir() if path.suffix != ".pdf"}
    text = io.StringIO()
    options = ReportOptions(rows=("label_fraction",), columns="method")
    with mock.patch.object(Figure, "savefig", png_only):
        other = write_report(folder, Console(file=text, width=160), options)
    assert other == folder.root / "report-rows-label_fraction-columns-method"
    assert str(other / "report.html") in text.getvalue()
    assert {path.name: path.read_bytes() for path in folder.report.iterdir() if path.suffix != ".pdf"} == usual
    assert (other / "table.md").read_text() != usual["table.md"].decode()
    assert sentences(other) == sentences(folder.report)
    assert any("simclr and random at 5% labels" in line for line in sentences(other))


def test_a_crowded_figure_prints_no_warning(
    make_study: Callable[..., StudyFolder], recwarn: pytest.WarningsRecorder
) -> None:
    methods = ("random", *(f"a_rather_long_method_name_{number}" for number in range(14)))
    report(make_study(methods=methods, fractions=("1",), subjects=2, replicates=2))
    assert [str(each.message) for each in recwarn if issubclass(each.category, UserWarning)] == []


def sentences(folder: Path) -> list[str]:
    return [line for line in (folder / "summary.md").read_text().splitlines() if line.startswith("- ")]


def test_a_report_of_a_phantom_says_so_in_its_title(make_study: Callable[..., StudyFolder]) -> None:
    folder = described(make_study(subjects=2, replicates=2), phantom=True, title="SimCLR (Saeed et al. 2022)")
    assert report(folder).startswith("SimCLR (Saeed et al. 2022), on generated data\n")
    page = (folder.report / "report.html").read_text()
    assert "<h1>SimCLR (Saeed et al. 2022), on generated data</h1>" in page
    assert '<div class="strong"><dt>Dataset</dt><dd>GENERATED PHANTOM' in page
    assert (folder.report / "summary.md").read_text().startswith("# SimCLR (Saeed et al. 2022), on generated data\n")


def test_a_study_without_a_reference_says_so(make_study: Callable[..., StudyFolder]) -> None:
    assert "no factor of the study has the reference level 'random'" in report(
        make_study(methods=("simclr", "byol"), subjects=3, fractions=("1",))
    )
