"""Check of a manifest, also of one that is only proposed."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from trainables.common.errors import DataError
from trainables.common.files import write_text
from trainables.data.layouts.manifest import Manifest
from trainables.data.proposal.array_members import array_slice_axis
from trainables.data.readers.tables import read_rows
from trainables.data.records import Progress
from trainables.data.settings import DataSettings
from trainables.data.store.check import DatasetReport, check
from trainables.data.store.dataset_files import dataset_files


def check_manifest(
    root: Path, progress: Progress | None = None, unwritten: Mapping[str, str] | None = None
) -> tuple[DataSettings, DatasetReport]:
    """Check a folder with its manifest by reading all files; return the settings that fit it, and the report.

    Args:
        root: the folder.
        progress: callback after each sequence; None for none.
        unwritten: texts of the manifest and its classes by file name, to be checked in place of the folder's own ones;
            nothing is written into the folder. None for the folder as it is.

    Raises:
        DataError: the manifest is none, or the folder has special files.
    """
    if unwritten is None:
        settings = _settings(root)
        return settings, check(settings, root, progress)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        for entry in root.iterdir():
            if entry.name not in unwritten:
                (folder / entry.name).symlink_to(entry.absolute())
        for table, text in unwritten.items():
            write_text(folder / table, text)
        settings = _settings(folder)
        try:
            report = check(settings, folder, progress)
        except DataError as error:
            raise DataError(str(error).replace(str(folder), str(root))) from None
    links = dataset_files(root, settings.links).issues()
    issues = [issue for issue in report.issues if issue.kind != "link out of the dataset"]
    moved = [replace(issue, message=issue.message.replace(str(folder), str(root))) for issue in issues]
    refusal, warning = (text.replace(str(folder), str(root)) for text in (report.refusal, report.warning))
    report = replace(report, root=root, issues=(*links, *moved), refusal=refusal, warning=warning)
    return replace(settings, path=str(root)), report


def _settings(root: Path) -> DataSettings:
    """Return the settings of a folder with a manifest: the axis of its array volumes, defaults otherwise."""
    try:
        images = [image for _, (image,) in read_rows(root / Manifest().file, ("image",))]
    except DataError:  # the check names it
        images = []
    return DataSettings(layout=Manifest(slice_axis=array_slice_axis(root, images)), path=str(root))
