"""`study data init`: proposes a manifest and a study file for a folder of images and masks."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from study.cli.app import Exit, err, out
from study.cli.console import printable
from study.cli.datasets import data
from study.progress import Progress
from study.word_table import WordTable
from trainables.common.errors import UserError

if TYPE_CHECKING:
    from trainables.data.proposal.proposal import ManifestProposal
    from trainables.data.settings import DataSettings
    from trainables.data.store.check import DatasetReport

_ROWS_SHOWN = 10
_FILES_SHOWN = 10
_EXAMPLES = 3


@data.command("init")
def init_dataset(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of images and masks.")],
    pattern: Annotated[
        str | None,
        typer.Option(
            "--subject-pattern",
            help="Regular expression that finds the patient in an image's path, such as '(p[0-9]+)_'.",
        ),
    ] = None,
    mask_pattern: Annotated[
        str | None,
        typer.Option(
            "--mask-pattern",
            help="Regular expression that finds the masks' paths, such as '_label[.]png', if the proposal is wrong.",
        ),
    ] = None,
    study_file: Annotated[
        Path | None, typer.Option("--study", help="Study file to write (default: ./FOLDER.yaml).")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the proposal and its check, and write nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Write without asking.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing manifest and study file.")] = False,
) -> int:
    """Look at a folder of images and masks, and write manifest.csv, classes.csv and a study file for it.

    Patients, splits, masks and structures are proposed from folders and file names, label numbers and colors from the
    masks. On a terminal the proposal is shown before anything is written. An existing manifest.csv is kept and only
    checked.
    """
    from trainables.data.layouts.manifest import Manifest

    root = folder.expanduser().absolute()
    if not root.is_dir():
        raise UserError(f"{folder}: no such folder (expected a folder of images and masks)")
    target = _study_path(study_file, root)
    manifest = root / Manifest().file
    unwritten = None
    if manifest.exists() and not force:
        _keep(manifest, {"--subject-pattern": pattern, "--mask-pattern": mask_pattern})
    else:
        _name_published_layouts(root)
        proposal = _proposal(root, pattern, mask_pattern)
        _print_proposal(proposal)
        tables = _tables(proposal)
        if dry_run:
            _print_rows(tables[manifest.name])
            unwritten = tables
        elif sys.stdin.isatty() and not yes and not typer.confirm("Write these files?"):
            return Exit.SUCCESS
        else:
            _write(root, tables)
    settings, report = _checked(root, unwritten)
    if report.refusal:
        out.print("no study file written. Fix: correct the manifest or the files, then run this command again")
        return Exit.USAGE
    _write_study(target, settings, report, force=force, dry_run=dry_run)
    return Exit.SUCCESS


def _keep(manifest: Path, changing: Mapping[str, str | None]) -> None:
    """Print that an existing manifest is kept; `changing` are options that would change it."""
    for option, value in changing.items():
        if value is not None:
            raise UserError(f"{manifest}: exists, and {option} would change it. Fix: add --force to overwrite")
    out.print(f"{printable(str(manifest))} exists and is kept; --force proposes a new one", markup=False)


def _study_path(chosen: Path | None, root: Path) -> Path:
    """Return the study file to write: a chosen one, or one named by the folder in letters, digits and "_-."."""
    from study.config.catalog import SUFFIXES

    name = "".join(letter if letter.isalnum() or letter in "_-." else "_" for letter in root.name).strip("._-")
    path = chosen or Path(f"{name or 'study'}.yaml")
    if path.suffix not in SUFFIXES:
        raise UserError(f"--study {path}: unknown suffix (found '{path.suffix}', expected {' or '.join(SUFFIXES)})")
    return path


def _name_published_layouts(root: Path) -> None:
    from trainables.data.proposal.published import published_layouts

    for name in published_layouts(root):
        text = (
            f"note: the folder has the published layout '{name}' and needs no manifest: study data check {name}={root}"
        )
        out.print(Text(printable(text)), soft_wrap=True)


def _proposal(root: Path, pattern: str | None, mask_pattern: str | None) -> ManifestProposal:
    from trainables.data.proposal.proposal import propose_manifest

    with Progress(err) as progress, progress.phase(f"{root.name}: reading masks") as advance:
        return propose_manifest(root, subject_pattern=pattern, mask_pattern=mask_pattern, progress=advance)


def _print_proposal(proposal: ManifestProposal) -> None:
    names = proposal.subjects.names
    subjects = len(set(names.values()))
    lines = [
        f"{proposal.images} images, {proposal.masks} masks, {subjects} subjects",
        f"subject: {proposal.subjects.rule}, as in",
        *(f"  {path} -> {names[path]}" for path in list(names)[:_EXAMPLES]),
    ]
    if subjects == len(names):
        lines.append("  Every image counts as a patient of its own. If patients have several, set --subject-pattern")
    splits = sorted({row.split for row in proposal.rows if row.split})
    lines.append(f"splits: {', '.join(splits) if splits else 'by fractions of the subjects'}")
    views = dict.fromkeys(row.view for row in proposal.rows if row.view)
    lines += [f"views: {', '.join(views)}"] if views else []
    if proposal.labelling.classes:
        named = [f"{each.value} {each.name} {each.color}".strip() for each in proposal.labelling.classes]
        lines.append(f"masks: {proposal.labelling.encoding}; classes: {', '.join(named)}")
    lines += [f"note: {note}" for note in proposal.notes]
    for kind, found in (("problem", proposal.problems), ("left out", proposal.left_out)):
        lines += [f"{kind}: {file}: {reason}" for file, reason in found[:_FILES_SHOWN]]
        lines += [f"{kind}: {len(found) - _FILES_SHOWN} more files"] if len(found) > _FILES_SHOWN else []
    for line in lines:
        out.print(Text(printable(line)), soft_wrap=True)


def _print_rows(manifest: str) -> None:
    """Print the first rows of the manifest as a table."""
    import csv

    header, *rows = csv.reader(manifest.splitlines())
    table = WordTable(header)
    for row in rows[:_ROWS_SHOWN]:
        table.add_row(*map(printable, row))
    out.print(table)
    if len(rows) > _ROWS_SHOWN:
        out.print(f"... and {len(rows) - _ROWS_SHOWN} more rows")


def _write(root: Path, tables: Mapping[str, str]) -> None:
    from trainables.common.files import write_text

    for path, text in ((root / name, text) for name, text in tables.items()):
        try:
            write_text(path, text)
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror}). Fix: make the folder writable") from None
        out.print(Text(f"wrote {printable(str(path))}"), soft_wrap=True)


def _tables(proposal: ManifestProposal) -> dict[str, str]:
    """Return the texts of the manifest and of its classes by file name."""
    from trainables.data.layouts.manifest import Manifest
    from trainables.data.layouts.manifest_classes import CLASSES_FILE
    from trainables.data.proposal.rows import classes_text, manifest_text

    texts = {Manifest().file: manifest_text(proposal.rows)}
    if proposal.labelling.classes:
        texts[CLASSES_FILE] = classes_text(proposal.labelling.classes)
    return texts


def _checked(root: Path, unwritten: Mapping[str, str] | None) -> tuple[DataSettings, DatasetReport]:
    from study.cli.dataset_text import print_report
    from trainables.data.proposal.check_manifest import check_manifest

    with Progress(err) as progress, progress.phase(f"{root.name}: checking") as advance:
        settings, report = check_manifest(root, advance, unwritten)
    print_report(settings, report)
    return settings, report


def _write_study(target: Path, settings: DataSettings, report: DatasetReport, *, force: bool, dry_run: bool) -> None:
    from study.config.starter import starter_study
    from trainables.common.files import write_text
    from trainables.data.layouts.manifest import Manifest
    from trainables.data.proposal.modality import guess_modality

    _, labelled = report.subjects.get("train", (0, 0))
    if report.warning or not labelled:
        out.print("no study file written: fine-tuning needs masks in train, val and test")
        return
    if target.exists() and not force:
        out.print(f"{target} exists and is kept; --force overwrites it", markup=False)
        return
    if dry_run:
        out.print(f"dry run: nothing is written; without --dry-run, {target} is the study file", markup=False)
        return
    records = report.records
    files = [file for record in records for role, file in record.files.items() if role.startswith("image")]
    names = [report.root.name, *(record.view for record in records)]
    policy = guess_modality(report.root, files, names) or "cropped"
    images = sum(record.frames or 1 for record in records)
    views = list(dict.fromkeys(record.view for record in records))
    axis = settings.layout.slice_axis if isinstance(settings.layout, Manifest) else None
    write_text(target, starter_study(target.stem, report.root, images, labelled, policy, views, axis))
    out.print(Text(f"wrote {target}. Next: study plan {target}, then study run {target}"), soft_wrap=True)
