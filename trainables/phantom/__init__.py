"""Generated examinations: anatomy that moves, imaged, and written to disk as real datasets are published."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trainables.common.errors import UserError, did_you_mean
from trainables.common.registry import Registry
from trainables.data.layouts.acdc import Acdc
from trainables.data.layouts.camus import Camus
from trainables.data.layouts.cardiac_dicom import CardiacDicom
from trainables.data.layouts.chaos import Chaos
from trainables.data.layouts.decathlon import Decathlon
from trainables.data.layouts.echonet import EchoNetDynamic
from trainables.data.layouts.manifest import Manifest
from trainables.data.layouts.mnms import Mnms, Mnms2
from trainables.data.layouts.ted import Ted
from trainables.data.layouts.ukbb import UkBiobank
from trainables.data.records import SPLITS, Layout, Progress, Split
from trainables.phantom.settings import PhantomSettings
from trainables.phantom.writers import chaos, decathlon
from trainables.phantom.writers.acdc import write_acdc
from trainables.phantom.writers.camus import write_camus
from trainables.phantom.writers.camus_mhd import write_camus_mhd
from trainables.phantom.writers.cardiac_dicom import write_cardiac_dicom
from trainables.phantom.writers.chaos import write_chaos
from trainables.phantom.writers.decathlon import write_liver, write_prostate
from trainables.phantom.writers.echonet import write_echonet
from trainables.phantom.writers.manifest import write_manifest
from trainables.phantom.writers.mnms import write_mnms, write_mnms2
from trainables.phantom.writers.ted import write_ted
from trainables.phantom.writers.ukbb import write_ukbb


@dataclass(frozen=True)
class Phantom:
    """One kind of generated dataset.

    Attributes:
        layout: layout class that reads the dataset.
        write: function of (folder, settings, progress) that writes the dataset.
        official: splits of the official split that is written, by `PhantomSettings.fractions`; none without one.
        labelled: share of the subjects with masks; the others have no split.
    """

    layout: type[Layout]
    write: Callable[[Path, PhantomSettings, Progress | None], None]
    official: tuple[Split, ...] = ()
    labelled: float = 1.0


PHANTOMS: Registry[Phantom] = Registry(
    "phantom",
    {
        "echonet": Phantom(EchoNetDynamic, write_echonet, SPLITS),
        "camus": Phantom(Camus, write_camus, SPLITS),
        "camus_mhd": Phantom(Camus, write_camus_mhd, SPLITS),
        "ted": Phantom(Ted, write_ted),
        "acdc": Phantom(Acdc, write_acdc, ("train", "test")),
        "mnms": Phantom(Mnms, write_mnms, SPLITS),
        "mnms2": Phantom(Mnms2, write_mnms2, SPLITS),
        "ukbb": Phantom(UkBiobank, write_ukbb),
        "cardiac_dicom": Phantom(CardiacDicom, write_cardiac_dicom),
        "decathlon_prostate": Phantom(Decathlon, write_prostate, labelled=decathlon.LABELLED),
        "decathlon_liver": Phantom(Decathlon, write_liver, labelled=decathlon.LABELLED),
        "chaos": Phantom(Chaos, write_chaos, labelled=chaos.LABELLED),
        "manifest": Phantom(Manifest, write_manifest, SPLITS),
    },
)


def phantom_form(layout: Layout, form: str | None) -> str:
    """Return the name of the phantom that is written in a layout.

    Args:
        layout: layout that will read the dataset.
        form: name of the phantom; None for the layout's first one.

    Raises:
        UserError: the layout has no phantom, or none of this name.
    """
    forms = [name for name, phantom in PHANTOMS.items() if phantom.layout is type(layout)]
    if not forms:
        raise UserError(f"data.phantom: no phantom exists for {layout.title}. Fix: set `path` to a real dataset.")
    if form is not None and form not in forms:
        raise UserError(f"{layout.title} has no phantom '{form}'{did_you_mean(form, forms)}")
    return form or forms[0]


__all__ = ["PHANTOMS", "Phantom", "PhantomSettings", "phantom_form", "write_camus", "write_echonet"]
