"""The configuration files that make an export a bundle of MONAI."""

from __future__ import annotations

from typing import Any

import torch

from trainables.prediction.preprocessing import Preprocessing

MONAI = "1.5.0"
"""Version of MONAI from which on the bundle is known to load."""


def metadata(preprocessing: Preprocessing, title: str, licence: str, version: str) -> dict[str, Any]:
    """Return the content of `configs/metadata.json`.

    Args:
        preprocessing: preprocessing of the networks' input, which is part of the network.
        title: name of the export.
        licence: licence of the weights.
        version: version of this package.
    """
    any_size = {"spatial_shape": ["*", "*"], "dtype": "float32", "is_patch_data": False}
    channels = dict(enumerate(preprocessing.channels))
    classes = dict(enumerate(preprocessing.classes))
    image = {
        "type": "image",
        "format": "magnitude",
        "modality": "n/a",
        "num_channels": len(channels),
        "value_range": [0, 255] if preprocessing.grey == "uint8" else [],
        "channel_def": {str(number): name for number, name in channels.items()},
        **any_size,
    }
    probabilities = {
        "type": "probabilities",
        "format": "segmentation",
        "num_channels": len(classes),
        "value_range": [0, 1],
        "channel_def": {str(number): name for number, name in classes.items()},
        **any_size,
    }
    return {
        "schema": "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
        "meta_schema_20240725.json",
        "version": version,
        "changelog": {version: "exported by pretext-study"},
        "monai_version": MONAI,
        "pytorch_version": torch.__version__.partition("+")[0],
        "numpy_version": "2.0.0",
        "required_packages_version": {"pillow": "11.0"},
        "name": title,
        "task": f"segmentation of {', '.join(preprocessing.classes[1:])}",
        "description": "Preprocessing and the mean of the networks' probabilities, see README.md",
        "authors": "see README.md",
        "copyright": licence,
        "intended_use": "research only, not a medical device",
        "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": probabilities}},
    }


def inference(preprocessing: Preprocessing) -> dict[str, Any]:
    """Return the content of `configs/inference.json`: segment the pictures in `images` and write their masks.

    MONAI reads pictures with columns first, so rows and columns change places before the network and after it.
    """
    width = preprocessing.pixel_mm
    spacing = "" if width is None else ", @spacing"
    mode = "L" if len(preprocessing.channels) == 1 else "RGB"
    segmented = f"@network(@load(image)['image'].as_tensor().mT[None].to(@device){spacing})[0].mT.cpu()"
    return {
        "imports": ["$import glob", "$import torch", "$import numpy"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/images'",
        "output_dir": "$@bundle_root + '/masks'",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        **({} if width is None else {"pixel_mm": [width, width], "spacing": "$torch.tensor(@pixel_mm).to(@device)"}),
        "network_def": "$torch.export.load(@bundle_root + '/models/model.pt2').module()",
        "network": "$@network_def.to(@device)",
        "load": {
            "_target_": "LoadImaged",
            "keys": "image",
            "reader": "PILReader",
            "converter": f"$lambda image: image.convert('{mode}')",
            "ensure_channel_first": True,
        },
        "save": {
            "_target_": "SaveImage",
            "output_dir": "@output_dir",
            "output_ext": ".png",
            "output_postfix": "mask",
            "output_dtype": "$numpy.uint8",
            "separate_folder": False,
            "resample": False,
            "print_log": False,
        },
        "images": "$[{'image': name} for name in sorted(glob.glob(@dataset_dir + '/*.png'))]",
        "run": [f"$[@save({segmented}.argmax(0, keepdim=True), @load(image)['image'].meta) for image in @images]"],
    }
