"""Writes the names and shapes of two networks of Hugging Face transformers, a line each.

    .venv-models/bin/python tests/golden/transformers_names.py

`ResNetConfig()` is the configuration of `microsoft/resnet-50`. The basic blocks of a first stage that halves
height and width have a projection. The script needs torch and transformers==5.23.0.
"""

from pathlib import Path

from transformers import ResNetConfig, ResNetForImageClassification

BASIC = {"layer_type": "basic", "hidden_sizes": [64, 128, 256, 512], "depths": [2, 2, 2, 2]}


def write(network: str, **changes) -> None:
    model = ResNetForImageClassification(ResNetConfig(num_labels=1000, **changes))
    lines = [
        f"{name} {'x'.join(map(str, tensor.shape))}\n"
        for name, tensor in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    ]
    Path(__file__).with_name(f"transformers-{network}.txt").write_text("".join(lines))


if __name__ == "__main__":
    write("resnet50")
    write("resnet18-stride64", downsample_in_first_stage=True, **BASIC)
