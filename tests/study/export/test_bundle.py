"""The bundle of an export as MONAI loads and runs it."""

import json

import numpy as np
import pytest
import torch
from monai import bundle
from PIL import Image

from study.export.standalone.load import Model

pytestmark = pytest.mark.filterwarnings("ignore")  # MONAI warns of configurations that run code


@pytest.fixture
def folder(exported):
    return exported[0].folder


def test_monai_loads_the_network_with_equal_probabilities(folder, monkeypatch):
    monkeypatch.chdir(folder)
    network = bundle.load(folder.name, bundle_dir=folder.parent, workflow_type="inference", device="cpu")
    images = torch.randint(0, 256, (1, 1, 40, 50), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(network(images.float()), Model(folder).probabilities(images))


def test_monai_runs_the_bundle_on_pictures(folder, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (40, 70), dtype=np.uint8)
    (tmp_path / "images").mkdir()
    Image.fromarray(image).save(tmp_path / "images" / "a.png")
    bundle.run(
        config_file=str(folder / "configs" / "inference.json"),
        meta_file=str(folder / "configs" / "metadata.json"),
        bundle_root=str(folder),
        dataset_dir=str(tmp_path / "images"),
        output_dir=str(tmp_path / "masks"),
    )
    expected = Model(folder)(torch.from_numpy(image)[None, None])[0].numpy()
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "masks" / "a_mask.png")), expected)


def test_the_metadata_describe_input_and_output(folder):
    metadata = json.loads((folder / "configs" / "metadata.json").read_text())
    data = metadata["network_data_format"]
    assert data["inputs"]["image"]["num_channels"] == 1
    assert data["outputs"]["pred"]["channel_def"] == {"0": "background", "1": "lv"}
    assert metadata["copyright"] == "CC-BY-4.0"
