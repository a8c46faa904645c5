"""Networks of segmentation_models_pytorch in an export: loaded by the library, with the network's own logits."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from study.export.networks import ExportedNetworks
from study.export.smp_folder import write_smp
from trainables.common.errors import UserError
from trainables.networks.libraries import smp
from trainables.networks.network import SegmentationNetwork
from trainables.networks.smp_networks import Smp, SmpEncoder
from trainables.prediction.graph import SegmentationGraph


def exported_smp(networks: ExportedNetworks, settings: Smp, count: int = 1) -> ExportedNetworks:
    """Return the export of a cell with random networks of the library."""
    torch.manual_seed(3)
    store = networks.cell.store
    cell = replace(networks.cell, network=settings, replicates=networks.cell.replicates[:count])
    made = [_random(settings.build(store.channels, len(store.classes))) for _ in range(count)]
    return ExportedNetworks(cell, [[network] for network in made], networks.about[:count])


def _random(network: SegmentationNetwork) -> SegmentationNetwork:
    """Return a network whose normalizations, too, have values that a loader could not guess."""
    for name, values in network.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            values.normal_(0, 0.1)
        elif name.endswith("running_var"):
            values.uniform_(0.5, 1.5)
    return network.eval()


def logits(exported: ExportedNetworks, network: torch.nn.Module) -> torch.Tensor:
    """Return a network's logits for random frames that went through the export's preprocessing."""
    graph = SegmentationGraph([network], exported.cell.preprocessing)
    side = exported.cell.store.image_size
    frames = torch.randint(0, 256, (2, 1, side, side), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return network(graph.normalise(frames.float() / 255))


@pytest.mark.parametrize(
    ("arch", "encoder"), [("Unet", "resnet18"), ("Unet", "mit_b0"), ("UnetPlusPlus", "resnet18"), ("MAnet", "resnet18")]
)
def test_the_library_loads_a_model_with_the_logits_of_the_network(networks, tmp_path, arch, encoder):
    exported, lines = exported_smp(networks, Smp(SmpEncoder(encoder), arch=arch)), []
    write_smp(exported, tmp_path, "MIT", lines.append)
    model = smp().from_pretrained(str(tmp_path / "smp")).eval()
    assert type(model) is getattr(smp(), arch)
    expected = logits(exported, exported.networks[0][0])
    assert expected.std() > 1e-3
    torch.testing.assert_close(logits(exported, model), expected, rtol=1e-5, atol=1e-5)
    assert lines[0].startswith("smp/: largest difference of a logit")
    assert "license: MIT" in (tmp_path / "smp/README.md").read_text()
    assert sorted(path.name for path in (tmp_path / "smp").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    config = json.loads((tmp_path / "smp/config.json").read_text())
    assert (config["_model_class"], config["encoder_name"], config["encoder_weights"]) == (arch, encoder, None)


def test_each_of_several_networks_has_its_folder_in_order(networks, tmp_path):
    exported = exported_smp(networks, Smp(SmpEncoder("mit_b0")), count=2)
    write_smp(exported, tmp_path, "MIT", lambda line: None)
    for number, (_, network) in enumerate(exported.members):
        weights = load_file(tmp_path / f"smp/{number}/model.safetensors")
        name, values = next(iter(network.backbone.model.state_dict().items()))
        torch.testing.assert_close(weights[f"encoder.{name}"], values)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (Smp(SmpEncoder("resnet18"), arch="FPN"), "the library's FPN enlarges logits with aligned corners"),
        (Smp(SmpEncoder("resnet18", 16), arch="DeepLabV3Plus"), "the library's DeepLabV3Plus enlarges logits"),
        (Smp(SmpEncoder("resnet18", 16)), "the library's Unet has no encoder with output_stride 16"),
    ],
)
def test_a_network_that_the_library_computes_otherwise_is_left_out_with_the_reason(
    networks, tmp_path, settings, reason
):
    exported, lines = exported_smp(networks, settings), []
    write_smp(exported, tmp_path, "MIT", lines.append)
    assert not (tmp_path / "smp").exists()
    assert lines[0].startswith(f"smp/: not written, as {reason}")


def test_networks_of_other_kinds_have_no_folder(networks, tmp_path):
    lines: list[str] = []
    write_smp(networks, tmp_path, "MIT", lines.append)
    assert (list(tmp_path.iterdir()), lines) == ([], [])


def test_a_model_with_other_logits_is_refused(networks, tmp_path):
    exported = exported_smp(networks, Smp(SmpEncoder("resnet18")))
    network = exported.networks[0][0]
    network.head.register_forward_hook(lambda module, inputs, output: output + 0.01)
    with pytest.raises(UserError, match=r"largest difference of a logit 0\.01"):
        write_smp(exported, tmp_path, "MIT", lambda line: None)
