"""Dataset layouts, one file each, all returning the same records.

Example:
    >>> sorted(LAYOUTS)[:3]
    ['acdc', 'camus', 'cardiac_dicom']
    >>> layout_name(Acdc(frame_step=2))
    'acdc'
"""

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
from trainables.data.records import Layout

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
    """Return the name under which a layout is registered, or its class's name where it is not."""
    kinds = {kind: name for name, kind in LAYOUTS.items()}
    return kinds.get(type(layout), type(layout).__name__)
