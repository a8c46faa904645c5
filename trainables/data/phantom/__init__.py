"""Generated echocardiography: a beating heart, imaged, and written to disk as real datasets are published."""

from trainables.data.phantom.camus_writer import write_camus
from trainables.data.phantom.echonet_writer import write_echonet
from trainables.data.phantom.settings import PhantomSettings
from trainables.registry import Registry

PHANTOMS = Registry("phantom layout", {"echonet": write_echonet, "camus": write_camus})

__all__ = ["PHANTOMS", "PhantomSettings", "write_camus", "write_echonet"]
