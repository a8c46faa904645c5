"""`study predict`: segments images with a study's trained networks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from study.cli.app import Exit, Root, RunName, app, err, out, workspace

if TYPE_CHECKING:
    import torch

    from study.prediction.trained_cell import TrainedCell
    from study.storage.workspace import StudyFolder
    from trainables.data.records import Layout
    from trainables.prediction.ensemble import Ensemble
    from trainables.prediction.predict import Prediction
    from trainables.prediction.results import Outputs, ResultFolder
    from trainables.prediction.sources import FoundSources

INTERVAL = 5.0
"""Seconds between two lines of progress."""

Cell = Annotated[str | None, typer.Option(help="Key of the cell (default: the first of `study best`).")]
Device = Annotated[str | None, typer.Option(help="Device to compute on: cpu, cuda, cuda:1 (default: a GPU if any).")]


@app.command()
def predict(
    name: RunName,
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGES...", help="Files, folders, or datasets as LAYOUT=PATH.")
    ],
    output: Annotated[Path, typer.Option("--out", help="Folder of the results; a later call continues in it.")],
    cell: Cell = None,
    replicate: Annotated[
        int | None, typer.Option(help="Number of one replicate (default: the mean of all replicates).", min=0)
    ] = None,
    flips: Annotated[
        bool, typer.Option("--flips", help="Average with mirror images, if the training mirrored its images.")
    ] = False,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Write each class's probability.")] = False,
    disagreement: Annotated[
        bool, typer.Option("--disagreement", help="Write where the replicates disagree, in bits.")
    ] = False,
    overlays: Annotated[
        bool, typer.Option("--overlays", help="Write all images with outlines (videos always have them).")
    ] = False,
    network_size: Annotated[
        bool, typer.Option("--network-size", help="Write masks at the size of the network's input, too.")
    ] = False,
    dicom_seg: Annotated[
        bool, typer.Option("--dicom-seg", help="Write masks of DICOM images as segmentation objects.")
    ] = False,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help="Set the layout of the datasets: layout.KEY=VALUE (layout.partition=fold3)."),
    ] = None,
    device: Device = None,
    root: Root = None,
) -> int:
    """Segment images with the trained networks of a study.

    Masks have the size, geometry and format of their images. Areas, volumes, ejection fractions and smoothness are in
    CSV files beside them. Images that have their results already are skipped.
    """
    from study.prediction.output_folder import facts, output_folder
    from study.prediction.trained_cell import trained_cell
    from trainables.prediction.measures import is_apical
    from trainables.prediction.results import Outputs, ResultFolder
    from trainables.prediction.segmentation_object import require_highdicom
    from trainables.prediction.sources import find_sources

    place = workspace(root)
    folder = place.existing_study(name)
    trained = trained_cell(folder, cell or recommended_cell(folder), replicate)
    outputs = Outputs(probabilities, disagreement, overlays, network_size, dicom_seg)
    if dicom_seg:
        require_highdicom()
    over_time = is_apical(trained.store.views)
    layouts = _layouts(images, sets or [])
    found = find_sources(images, trained.data, trained.preprocessing, time=over_time, given=layouts)
    networks = ensemble(trained, device_of(device), flips=flips, disagreement=disagreement)
    with output_folder(output.absolute(), images, facts(trained, outputs, flips=flips)) as key:
        results = ResultFolder(output.absolute(), key, place.subject_key())
        prediction = _run(trained, networks, results, outputs, found)
        return _report(prediction, found, results, trained)


def _layouts(images: Sequence[str], sets: Sequence[str]) -> dict[str, Layout]:
    """Return the layouts of the datasets among the arguments with the settings of `--set`, by name.

    Raises:
        UserError: a setting is not one of the layout, or no argument is a dataset.
    """
    from study.config.datasets import named_dataset
    from trainables.common.errors import UserError
    from trainables.data.layouts import LAYOUTS

    if not sets:
        return {}
    for each in sets:
        if not each.startswith("layout."):
            raise UserError(f"--set {each}: expected a setting of the datasets' layout, layout.KEY=VALUE")
    named = [each for each in images if each.partition("=")[0] in LAYOUTS and not Path(each).exists()]
    if not named:
        raise UserError(f"--set {sets[0]}: no dataset among the images. Fix: name one as LAYOUT=PATH")
    return {each.partition("=")[0]: named_dataset(each, sets).layout for each in named}


def recommended_cell(folder: StudyFolder) -> str:
    """Return the cell with the best validation metric, or the only one.

    Raises:
        UserError: no replicate has finished, or none was validated.
    """
    from analysis.io.load import load
    from study.cli.best import best_cell
    from trainables.common.errors import UserError

    results = load(folder)
    if len(results.plan.cells) == 1:
        return next(iter(results.plan.cells))
    try:
        return best_cell(results)
    except UserError as error:
        raise UserError(f"{error}, or name a cell (--cell)") from None


def device_of(name: str | None) -> torch.device:
    """Return the device of an option.

    Raises:
        UserError: there is no such device on this machine.
    """
    import torch

    from trainables.common.errors import UserError
    from trainables.engine.runtime import best_device

    if name is None:
        return best_device()
    try:
        found = torch.device(name)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError):
        devices = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
        raise UserError(f"--device {name}: no such device (found {', '.join(devices)})") from None
    return found


def ensemble(
    trained: TrainedCell, device: torch.device, *, flips: bool = False, disagreement: bool = False
) -> Ensemble:
    """Return the networks of a cell's replicates as one ensemble.

    Raises:
        UserError: the training did not mirror its images, or a disagreement of one network is requested.
    """
    from trainables.common.errors import UserError
    from trainables.prediction.ensemble import Ensemble

    if flips and "flip" not in trained.downstream.augment.active():
        raise UserError("--flips: the networks were trained without mirror images (downstream.augment.flip is off)")
    networks = [network for each in trained.replicates for network in trained.networks(each)]
    if disagreement and len(networks) < 2:
        raise UserError("--disagreement: one network (expected two or more). Fix: leave out --replicate")
    return Ensemble(
        networks,
        trained.preprocessing,
        device=device,
        precision=trained.downstream.fit.precision,
        frames=trained.network.frames,
        batch=trained.evaluation_batch,
        flips=flips,
        disagreement=disagreement,
    )


def _run(
    trained: TrainedCell, networks: Ensemble, results: ResultFolder, outputs: Outputs, found: FoundSources
) -> Prediction:
    """Segment the images, with a line of progress at intervals."""
    from trainables.prediction.measures import is_apical
    from trainables.prediction.predict import Predictor

    apical, limit = is_apical(trained.store.views), trained.data.max_gigabytes
    predictor = Predictor(networks, trained.preprocessing, results, outputs, apical, limit)
    count = len(networks.networks)
    text = f"{trained.folder.name}, {trained.cell}: {count} network{'s' * (count > 1)} on {networks.device}"
    err.print(f"{text}, {_images(len(found.sources))}", markup=False, highlight=False, soft_wrap=True)
    return predictor.run(found.sources, _progress())


def _images(count: int) -> str:
    return f"{count} image{'s' * (count != 1)}"


def _progress() -> Callable[[int, int, int], None]:
    start = last = time.monotonic()

    def advance(done: int, total: int, frames: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= INTERVAL or (done == total and now - start >= INTERVAL):
            last = now
            err.print(f"{done}/{total} images, {frames / (now - start):.1f} frames/s", highlight=False)

    return advance


def _report(prediction: Prediction, found: FoundSources, results: ResultFolder, trained: TrainedCell) -> int:
    """Write the tables, print the summary and return the exit code."""
    from study.prediction import tables
    from trainables.common.files import write_text

    failed = [*found.unusable, *((each.name, each.reason) for each in prediction.failed)]
    classes, root = trained.store.classes, results.root
    records = results.others(prediction.records) | dict(prediction.records)
    written = {
        "frames": tables.frame_table(records, classes),
        "volumes": tables.volume_table(records, classes),
        "sequences": tables.sequence_table(records, classes),
        "subjects": tables.subject_table(records),
        "failures": tables.failure_table(failed) if failed else None,
    }
    for name, text in written.items():
        path = root / f"{name}.csv"
        if text is not None:
            write_text(path, text)
        else:
            path.unlink(missing_ok=True)  # of an earlier call
    new = len(prediction.records) - prediction.skipped
    text = f"{root}: {_images(new)} segmented ({prediction.frames} frames), {prediction.skipped} there before"
    out.print(text, markup=False, highlight=False, soft_wrap=True)
    if found.ignored:
        count = f"{found.ignored} file{'s' * (found.ignored > 1)} of other types"
        err.print(f"note: {count} ignored", highlight=False)
    for name, reason in failed:
        err.print(f"failed: {name}: {reason}", markup=False, highlight=False, soft_wrap=True)
    return Exit.FAILED_JOBS if failed else Exit.SUCCESS
