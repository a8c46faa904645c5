"""Generated patients: hearts, pelves and abdomens, imaged, and written to disk as real datasets are published."""

from trainables.data.phantom.camus_mhd_writer import write_camus_mhd
from trainables.data.phantom.camus_writer import write_camus
from trainables.data.phantom.chaos_writer import write_chaos
from trainables.data.phantom.decathlon_writer import write_liver, write_prostate
from trainables.data.phantom.echonet_writer import write_echonet
from trainables.data.phantom.manifest_writer import write_manifest
from trainables.data.phantom.settings import PhantomSettings
from trainables.data.phantom.ted_writer import write_ted
from trainables.registry import Registry

PHANTOMS = Registry(
    "phantom layout",
    {
        "echonet": write_echonet,
        "camus": write_camus,
        "camus_mhd": write_camus_mhd,
        "chaos": write_chaos,
        "decathlon_liver": write_liver,
        "decathlon_prostate": write_prostate,
        "manifest": write_manifest,
        "ted": write_ted,
    },
)

__all__ = ["PHANTOMS", "PhantomSettings", "write_camus", "write_echonet"]
