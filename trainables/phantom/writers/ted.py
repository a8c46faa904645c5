"""The phantom on disk as TED is published: whole cycles of the four-chamber view, every frame with its mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trainables.data.readers.metaimage_writer import write_metaimage
from trainables.data.records import Progress
from trainables.phantom.imaging.cine import draw_cine
from trainables.phantom.settings import PhantomSettings
from trainables.phantom.writers.camus import info, truth, write_info

VIEW = "4CH"
_STEP = 1.54  # third spacing of the published files


def write_ted(root: Path, settings: PhantomSettings, progress: Progress | None = None) -> None:
    """Write `database/patientNNN/` below `root`; labels 1 left ventricle, 2 myocardium; without a split."""
    for number in range(1, settings.subjects + 1):
        name = f"patient{number:03d}"
        cine = draw_cine(settings, name, VIEW)
        folder = root / "database" / name
        folder.mkdir(parents=True, exist_ok=True)
        masks = np.stack([truth(cine, frame) for frame in range(len(cine.images))])
        masks[masks > 2] = 0  # the left atrium has no label here
        spacing = cine.millimetres / settings.size
        for stem, values in (("sequence", cine.images), ("sequence_gt", masks)):
            write_metaimage(folder / f"{name}_{VIEW}_{stem}.mhd", values.T, (spacing, spacing, _STEP))
        lines = info(len(cine.images), cine.end_diastole + 1, cine.end_systole + 1)
        write_info(folder / f"{name}_{VIEW}_info.cfg", lines | {"EF": round(cine.ejection_fraction)})
        if progress is not None:
            progress("generating phantom", number, settings.subjects)
