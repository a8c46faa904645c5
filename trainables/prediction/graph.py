"""Trained segmentation networks with their preprocessing as one module, which becomes an exported graph."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from trainables.networks.normalise import Normalise
from trainables.prediction.levels import to_levels
from trainables.prediction.preprocessing import Preprocessing
from trainables.prediction.resampler import Resampler


class SegmentationGraph(nn.Module):
    """Segmentation of decoded images of any size by the mean probabilities of several networks.

    Args:
        networks: trained networks of single images `(B, C, S, S)`.
        preprocessing: numbers and rules of the networks' input.
    """

    def __init__(self, networks: Sequence[nn.Module], preprocessing: Preprocessing) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.preprocessing = preprocessing
        self.resampler = Resampler(preprocessing.image_size, preprocessing.pixel_mm)
        self.normalise = Normalise(preprocessing.mean, preprocessing.std)
        self.eval()

    def forward(self, images: Tensor, spacing: Tensor | None = None) -> Tensor:
        """Return class probabilities `(B, K, H, W)` at the images' own size.

        Args:
            images: float32 `(B, C, H, W)`, decoded values; for the rules "stretched" and "display" all frames of one
                sequence or volume, for "uint8" levels 0 to 255.
            spacing: float32 (row, column) spacing `(2,)` of the pixels in mm; given exactly where the preprocessing has
                `pixel_mm`.
        """
        axes = self.resampler.axes(images, spacing)
        levels = self.resampler.to_square(to_levels(images, self.preprocessing.grey), axes)
        return self.resampler.to_image(self.of_square(levels), axes)

    def of_square(self, levels: Tensor) -> Tensor:
        """Return class probabilities `(B, K, S, S)` of frames `(B, C, S, S)` as a frame store has them, uint8."""
        images = self.normalise(levels.float() / 255)
        return torch.stack([network(images).float().softmax(1) for network in self.networks]).mean(0)

    def example(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the arguments of `forward` for images, with a spacing where one is needed."""
        width = self.preprocessing.pixel_mm
        return (images,) if width is None else (images, torch.tensor([width, 1.1 * width]))


def export_program(graph: SegmentationGraph) -> ExportedProgram:
    """Return the graph as a program of `torch.export` for any number, height and width of images, on any device."""
    side = graph.preprocessing.image_size
    images = torch.linspace(0, 255, 2 * side * (side + 3)).view(2, 1, side, side + 3)
    images = images.repeat(1, len(graph.preprocessing.channels), 1, 1)
    given = graph.example(images)
    any_size = {0: Dim("images", min=1), 2: Dim("rows", min=2), 3: Dim("columns", min=2)}
    with torch.no_grad():
        program = torch.export.export(graph, given, dynamic_shapes=(any_size, *(None for _ in given[1:])))
    for node in list(program.graph.nodes):
        if node.target is torch.ops.aten._assert_tensor_metadata.default:  # it holds the program on its device
            program.graph.erase_node(node)
    program.graph_module.recompile()
    return program
