"""`study data init`: proposes a manifest and a study file for a folder of images and masks."""

from __future__ import annotations

import sys
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
    study_file: Annotated[
        Path | None, typer.Option("--study", help="Study file to write (default: ./FOLDER.yaml).")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the proposal and write nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Write without asking.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing manifest and study file.")] = False,
) -> int:
    """Look at a folder of images and masks, and write manifest.csv, classes.csv and a study file for it.

    Patients, splits, masks and structures are proposed from folders and file names, label numbers and colors from the
    masks. On a terminal the proposal is shown before anything is written. An existing manifest.csv is kept and only
    checked.
    """
    from study.config.catalog import SUFFIXES
    from trainables.data.layouts.manifest import Manifest
    from trainables.data.settings import DataSettings

    root = folder.expanduser().absolute()
    if not root.is_dir():
        raise UserError(f"{folder}: no such folder (expected a folder of images and masks)")
    target = study_file or Path(f"{_study_name(root.name)}.yaml")
    if target.suffix not in SUFFIXES:
        raise UserError(f"--study {target}: unknown suffix (found '{target.suffix}', expected {' or '.join(SUFFIXES)})")
    settings = DataSettings(layout=Manifest(), path=str(root))
    manifest = root / Manifest().file
    if manifest.exists() and not force:
        if pattern is not None:
            raise UserError(f"{manifest}: exists, and --subject-pattern would change it. Fix: add --force to overwrite")
        out.print(f"{printable(str(manifest))} exists and is kept; --force proposes a new one", markup=False)
        if dry_run:
            return Exit.SUCCESS
    else:
        _name_published_layouts(root)
        proposal = _proposal(root, pattern, settings)
        _print_proposal(proposal)
        if dry_run:
            _print_tables(proposal)
            return Exit.SUCCESS
        if sys.stdin.isatty() and not yes and not typer.confirm("Write these files?"):
            return Exit.SUCCESS
        _write(root, proposal)
    report = _checked(settings, root)
    if report.refusal:
        out.print("no study file written. Fix: correct the manifest or the files, then run this command again")
        return Exit.USAGE
    _write_study(target, settings, report, force=force)
    return Exit.SUCCESS


def _study_name(folder: str) -> str:
    """Return a study's name made of a folder's: letters, digits, "_", "-" and "."."""
    name = "".join(letter if letter.isalnum() or letter in "_-." else "_" for letter in folder).strip("._-")
    return name or "study"


def _name_published_layouts(root: Path) -> None:
    from trainables.data.proposal.published import published_layouts

    for name in published_layouts(root):
        text = (
            f"note: the folder has the published layout '{name}' and needs no manifest: study data check {name}={root}"
        )
        out.print(Text(printable(text)), soft_wrap=True)


def _proposal(root: Path, pattern: str | None, settings: DataSettings) -> ManifestProposal:
    from trainables.data.proposal.proposal import propose_manifest

    with Progress(err) as progress, progress.phase(f"{root.name}: reading masks") as advance:
        return propose_manifest(root, subject_pattern=pattern, max_gigabytes=settings.max_gigabytes, progress=advance)


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


def _print_tables(proposal: ManifestProposal) -> None:
    """Print the first rows of the manifest as a table."""
    import csv

    from trainables.data.proposal.rows import manifest_text

    header, *rows = csv.reader(manifest_text(proposal.rows).splitlines())
    table = WordTable(header)
    for row in rows[:_ROWS_SHOWN]:
        table.add_row(*map(printable, row))
    out.print(table)
    if len(rows) > _ROWS_SHOWN:
        out.print(f"... and {len(rows) - _ROWS_SHOWN} more rows")


def _write(root: Path, proposal: ManifestProposal) -> None:
    from trainables.common.files import write_text
    from trainables.data.layouts.manifest import Manifest
    from trainables.data.layouts.manifest_classes import CLASSES_FILE
    from trainables.data.proposal.rows import classes_text, manifest_text

    files = {root / Manifest().file: manifest_text(proposal.rows)}
    if proposal.labelling.classes:
        files[root / CLASSES_FILE] = classes_text(proposal.labelling.classes)
    for path, text in files.items():
        try:
            write_text(path, text)
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror}). Fix: make the folder writable") from None
        out.print(Text(f"wrote {printable(str(path))}"), soft_wrap=True)


def _checked(settings: DataSettings, root: Path) -> DatasetReport:
    from study.cli.dataset_text import print_report
    from trainables.data.store.check import check

    with Progress(err) as progress, progress.phase(f"{root.name}: checking") as advance:
        report = check(settings, root, advance)
    print_report(settings, report)
    return report


def _write_study(target: Path, settings: DataSettings, report: DatasetReport, *, force: bool) -> None:
    from study.config.starter import starter_study
    from trainables.common.files import write_text
    from trainables.data.proposal.modality import guess_modality

    _, labelled = report.subjects.get("train", (0, 0))
    if report.warning or not labelled:
        out.print("no study file written: fine-tuning needs masks in train, val and test")
        return
    if target.exists() and not force:
        out.print(f"{target} exists and is kept; --force overwrites it", markup=False)
        return
    listing = settings.layout.scan(report.root)
    files = [file for record in listing.records for role, file in record.files.items() if role.startswith("image")]
    names = [report.root.name, *(record.view for record in listing.records)]
    policy = guess_modality(report.root, files, names) or "cropped"
    images = sum(record.frames or 1 for record in listing.records)
    views = list(dict.fromkeys(record.view for record in listing.records))
    text = starter_study(target.stem, report.root, images, labelled, policy, views)
    write_text(target, text)
    out.print(Text(f"wrote {target}. Next: study plan {target}, then study run {target}"), soft_wrap=True)
