"""Datasets: one file a layout, all giving the same records; and the frame store that training reads."""

from trainables.data.acdc import Acdc
from trainables.data.camus import Camus
from trainables.data.cardiac_dicom import CardiacDicom
from trainables.data.chaos import Chaos
from trainables.data.decathlon import Decathlon
from trainables.data.echonet import EchoNetDynamic
from trainables.data.manifest import Manifest
from trainables.data.mnms import Mnms, Mnms2
from trainables.data.records import Layout
from trainables.data.ted import Ted
from trainables.data.ukbb import UkBiobank
from trainables.registry import Registry

LAYOUTS: Registry[type[Layout]] = Registry(
    "dataset layout",
    {
        "echonet": EchoNetDynamic,
        "camus": Camus,
        "ted": Ted,
        "acdc": Acdc,
        "mnms": Mnms,
        "mnms2": Mnms2,
        "ukbb": UkBiobank,
        "cardiac_dicom": CardiacDicom,
        "decathlon": Decathlon,
        "chaos": Chaos,
        "manifest": Manifest,
    },
)


def layout_name(layout: Layout) -> str:
    """The name under which a layout is registered; its class's name where it is not."""
    kinds = {kind: name for name, kind in LAYOUTS.items()}
    return kinds.get(type(layout), type(layout).__name__)
