"""Exports against the networks that they are made of, in an environment with PyTorch alone and in ONNX Runtime."""

import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from packaging.requirements import Requirement
from safetensors.torch import load_file

from study.export.folder import read_export, write_export
from study.export.standalone.load import Model, stretched
from trainables.common.errors import UserError
from trainables.data.readers.grey import to_gray

ALONE = """
import sys
sys.path[:0] = sys.argv[2:]
import importlib.util
found = [name for name in ("numpy", "safetensors", "trainables") if importlib.util.find_spec(name)]
assert not found, found
import torch
sys.path.insert(0, sys.argv[1])
from load import Model
frames = torch.load(sys.argv[1] + "/frames.pt")
torch.save(Model()(frames), sys.argv[1] + "/masks.pt")
"""


def torch_alone(folder: Path) -> Path:
    """Return a folder with links to PyTorch and the packages that it requires, for a path without any other."""
    needed, todo = set(), ["torch"]
    while todo:
        name = todo.pop().lower().replace("_", "-")
        if name not in needed:
            needed.add(name)
            requirements = map(Requirement, distribution(name).requires or ())
            todo += [each.name for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})]
    folder.mkdir()
    for top, owners in packages_distributions().items():
        if needed & {owner.lower().replace("_", "-") for owner in owners}:
            place = Path(str(distribution(owners[0]).locate_file("")))
            for found in (place / top, place / f"{top}.py"):
                if found.exists():
                    (folder / found.name).symlink_to(found)
    return folder


def test_pytorch_alone_gives_the_masks_of_the_networks(networks, exported, tmp_path):
    export, _ = exported
    folder = tmp_path / "model"
    shutil.copytree(export.folder, folder)
    frames = torch.from_numpy(np.array(networks.cell.store.images))
    torch.save(frames, folder / "frames.pt")
    script = tmp_path / "script.py"
    script.write_text(ALONE)
    place = torch_alone(tmp_path / "packages")
    command = [sys.executable, "-I", "-S", str(script), str(folder), str(place)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    with torch.no_grad():
        normal = (frames / 255 - networks.cell.store.mean[0]) / networks.cell.store.std[0]
        expected = torch.stack([network(normal).softmax(1) for _, network in networks.members]).mean(0).argmax(1)
    assert torch.equal(torch.load(folder / "masks.pt"), expected.to(torch.uint8))


def test_every_form_is_compared_with_the_study_and_the_networks(exported):
    _, lines = exported
    assert re.fullmatch(r"study: 0 of [\d,]+ pixels differ from the study's masks \(0%\)", lines[0])
    assert lines[1].startswith("models/model.pt2: largest difference of a probability ")
    assert lines[2].startswith("models/model.onnx: largest difference of a probability ")
    assert all(re.search(r" 0 of [\d,]+ pixels differ", line) for line in lines)


def test_the_onnx_file_has_the_preprocessing_and_takes_any_size(exported):
    export, _ = exported
    session = onnxruntime.InferenceSession(export.folder / "models" / "model.onnx")
    images = np.random.default_rng(0).integers(0, 256, (1, 1, 50, 90)).astype(np.float32)
    (found,) = session.run(None, {"images": images})
    expected = Model(export.folder).probabilities(torch.from_numpy(images.astype(np.uint8)))
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
    about = json.loads(session.get_modelmeta().custom_metadata_map["preprocessing"])
    assert about == export.about


def test_weights_are_safetensors_by_the_names_of_the_networks(networks, exported):
    weights = load_file(exported[0].folder / "weights.safetensors")
    for number, (_, network) in enumerate(networks.members):
        for name, value in network.state_dict().items():
            assert torch.equal(weights[f"networks.{number}.{name}"], value)


def test_no_text_of_an_export_names_a_subject(networks, exported):
    texts = [path.read_text() for path in exported[0].folder.rglob("*") if path.suffix in (".json", ".md", ".py")]
    assert len(texts) == 5
    assert not [name for name in networks.cell.store.subjects for text in texts if name in text]


def test_the_card_has_numbers_intervals_subjects_and_licences(exported):
    card = (exported[0].folder / "README.md").read_text()
    for part in (
        "license: CC-BY-4.0\ndata_license: not stated\n",
        "grey: mean 0.2, standard deviation 0.2.",
        "The full image is resized to 64 x 64 pixels",
        "| 1 | lv |",
        "split `test`: 3 subjects, 6 stored frames",
        "labelled for training: 12 subjects in each replicate",
        "0.500, 95% interval 0.250 to 0.750, 3 subjects",
        "The mean of all networks, which this export gives, was not tested.",
        "initial weights: pretext-simclr-ab",
        "the images are drawn by a simulation",
    ):
        assert part in card, part


def test_an_existing_folder_is_not_overwritten(networks, exported):
    with pytest.raises(UserError, match="exists already"):
        write_export(networks, exported[0].folder, "", "")


def test_incomplete_and_old_exports_are_refused_with_what_they_lack(exported, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(exported[0].folder, folder)
    about = json.loads((folder / "preprocessing.json").read_text())
    (folder / "preprocessing.json").write_text(json.dumps({n: v for n, v in about.items() if n not in ("mean", "std")}))
    with pytest.raises(UserError, match="lacks mean, std"):
        read_export(folder)
    (folder / "preprocessing.json").write_text(json.dumps(about | {"format": 0}))
    with pytest.raises(UserError, match="found 0, expected 1"):
        read_export(folder)
    with pytest.raises(ValueError, match="format 0, expected 1"):
        Model(folder)
    (folder / "preprocessing.json").unlink()
    (folder / "models" / "model.pt2").unlink()
    with pytest.raises(UserError, match=r"lacks preprocessing.json, models/model.pt2"):
        read_export(folder)
    with pytest.raises(FileNotFoundError, match=r"lacks preprocessing.json, models/model.pt2"):
        Model(folder)


def test_the_loader_stretches_other_types_as_the_readers_do(exported):
    images = np.random.default_rng(0).gamma(2, 300, (2, 1, 30, 20)).astype(np.int16)
    expected = to_gray(images)
    found = stretched(torch.from_numpy(images)).numpy()
    assert np.abs(found - expected).max() <= 1
    assert (found != expected).mean() < 0.01
    model = Model(exported[0].folder)
    levels = torch.from_numpy(found.astype(np.uint8))
    assert torch.equal(model(torch.from_numpy(images)), model(levels))
    assert torch.equal(model(images), model(levels))  # an array of NumPy
    with pytest.raises(ValueError, match="expected \\(B, C, H, W\\) with channels"):
        model(levels[:, 0])
