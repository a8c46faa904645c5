"""The phantom on disk as M&Ms and M&Ms-2 are published."""

from __future__ import annotations

import csv
from pathlib import Path

from trainables.common.seeds import derive
from trainables.data.layouts.mnms import LABELS
from trainables.data.records import Progress, Split
from trainables.data.sampling.splits import split_subjects
from trainables.phantom.anatomy.cardiac_mr import draw_examination
from trainables.phantom.settings import PhantomSettings
from trainables.phantom.writers.cardiac_nifti import save_images, save_labels

TABLE = "211230_M&Ms_Dataset_information_diagnosis_opendataset.csv"
COLUMNS = ("External code", "VendorName", "Vendor", "Centre", "ED", "ES", "Age", "Pathology", "Sex", "Height", "Weight")
TABLE_2 = "dataset_information.csv"
COLUMNS_2 = ("SUBJECT_CODE", "DISEASE", "VENDOR", "SCANNER", "FIELD")
_PARTS: dict[Split, str] = {"train": "Training/Labeled", "val": "Validation", "test": "Testing"}
_FIRST: dict[Split, int] = {"train": 1, "val": 161, "test": 201}
_LONG_AXIS = "4CH"


def write_mnms(root: Path, settings: PhantomSettings, progress: Progress | None = None) -> None:
    """Write `Training/Labeled`, `Validation`, `Testing` and the table of subjects below `root`."""
    names = [f"{derive(settings.seed, 'mnms', number):016x}"[:6].upper() for number in range(settings.subjects)]
    names = [f"{name}{number}" for number, name in enumerate(names)]
    splits = split_subjects(names, settings.fractions, settings.seed)
    root.mkdir(parents=True, exist_ok=True)
    with (root / TABLE).open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for done, name in enumerate(names, 1):
            exam = draw_examination(settings, name, ("SA",))
            view, folder = exam.views["SA"], root / _PARTS[splits[name]] / name
            save_images(folder / f"{name}_sa.nii.gz", view)
            save_labels(folder / f"{name}_sa_gt.nii.gz", view, LABELS, (0, exam.end_systole))
            table.writerow([name, "phantom", "A", 1, 0, exam.end_systole, 60, "NOR", "F", 170, 70])
            if progress is not None:
                progress("generating phantom", done, settings.subjects)


def write_mnms2(root: Path, settings: PhantomSettings, progress: Progress | None = None) -> None:
    """Write `dataset/NNN/` and the table of subjects below `root`; the subject's number determines its split."""
    splits = split_subjects([str(number) for number in range(settings.subjects)], settings.fractions, settings.seed)
    counts = dict(_FIRST)
    codes = []
    for done, (number, split) in enumerate(sorted(splits.items(), key=lambda item: int(item[0])), 1):
        name = f"{counts[split]:03d}"
        codes.append(counts[split])
        counts[split] += 1
        exam = draw_examination(settings, f"mnms2 {number}", ("SA", _LONG_AXIS))
        for short, view in (("SA", exam.views["SA"]), ("LA", exam.views[_LONG_AXIS])):
            stem = root / "dataset" / name / f"{name}_{short}"
            save_images(stem.with_name(f"{stem.name}_CINE.nii.gz"), view)
            for phase, moment in (("ED", 0), ("ES", exam.end_systole)):
                save_images(stem.with_name(f"{stem.name}_{phase}.nii.gz"), view, moment)
                save_labels(stem.with_name(f"{stem.name}_{phase}_gt.nii.gz"), view, LABELS, moment)
        if progress is not None:
            progress("generating phantom", done, settings.subjects)
    with (root / TABLE_2).open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS_2)
        table.writerows([code, "NOR", "PHANTOM", "phantom", 1.5] for code in sorted(codes))
