"""Datasets: one file a layout, all giving the same records; and the frame store that training reads."""

from trainables.data.camus import Camus
from trainables.data.echonet import EchoNetDynamic
from trainables.data.records import Layout
from trainables.registry import Registry

LAYOUTS: Registry[Layout] = Registry("dataset layout", {"echonet": EchoNetDynamic(), "camus": Camus()})
