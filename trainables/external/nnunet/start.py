"""Initial weights of nnU-Net's network from a checkpoint of nnU-Net or nnssl."""

from __future__ import annotations

from torch import nn

from trainables.common.errors import CheckpointError
from trainables.networks.weight_files.load import MIN_SHARE, WeightReport, best_reading
from trainables.networks.weight_files.read import WeightsFile, read_tensors

ENCODER = "encoder."
"""Beginning of the names of the encoder's tensors in nnU-Net's networks."""

OUTPUT = ".seg_layers."
"""Part of the names of the layers that return logits, which are not loaded."""


def check_start(weights: WeightsFile) -> None:
    """Check that a file has the encoder of a network of nnU-Net; whether it fits is known after planning.

    Raises:
        CheckpointError: it is missing, no file of tensors, or has other names.
    """
    names = read_tensors(weights.path)
    if not any(".stages." in f".{name}" for name in names):
        raise CheckpointError(f"{weights.file}: has no encoder of nnU-Net (found {', '.join(list(names)[:4])}, ...)")


def load_start(network: nn.Module, weights: WeightsFile) -> WeightReport:
    """Load weights into a network that nnU-Net planned; what the file lacks keeps its random values.

    The encoder must be in the file; the decoder is loaded where it fits, as `nnUNetv2_train -pretrained_weights` does.

    Raises:
        CheckpointError: less of the encoder is in the file than other encoders require.
    """
    expected = {name: value for name, value in network.state_dict().items() if OUTPUT not in name}
    found, report = best_reading(expected, read_tensors(weights.path), weights.file)
    encoder = {name: value.numel() for name, value in expected.items() if name.startswith(ENCODER)}
    share = sum(size for name, size in encoder.items() if name in found) / max(1, sum(encoder.values()))
    if share < MIN_SHARE:
        text = f"nnU-Net planned another encoder for these data than the file's ({100 * share:.1f}% of its numbers)"
        raise CheckpointError(f"{report}. {text}, expected at least {100 * MIN_SHARE:.0f}%")
    network.load_state_dict(found, strict=False)
    return report
