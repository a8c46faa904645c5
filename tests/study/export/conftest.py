import pytest

from study.export.card import Score, export_card
from study.export.folder import write_export
from study.export.networks import read_networks
from study.prediction.trained_cell import trained_cell
from tests.fake_trained import write_trained


@pytest.fixture(scope="session")
def networks(tmp_path_factory):
    """Networks of the best cell of a study with random weights."""
    return read_networks(trained_cell(write_trained(tmp_path_factory.mktemp("ws")), "method=simclr"))


@pytest.fixture(scope="session")
def exported(networks, tmp_path_factory):
    """Their export, and the lines that its checks print."""
    card = export_card(networks, Score(0.5, 0.25, 0.75, 3), "CC-BY-4.0", "not stated")
    lines: list[str] = []
    folder = tmp_path_factory.mktemp("out") / "model"
    return write_export(networks, folder, card, "CC-BY-4.0", report=lines.append), lines
