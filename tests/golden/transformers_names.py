"""Writes the names and shapes of a ResNet-50 of Hugging Face transformers, a line each.

    python tests/golden/transformers_names.py

`ResNetConfig()` is the configuration of `microsoft/resnet-50`. The script needs torch and
transformers==5.23.0.
"""

from pathlib import Path

from transformers import ResNetConfig, ResNetForImageClassification

model = ResNetForImageClassification(ResNetConfig(num_labels=1000))
lines = [
    f"{name} {'x'.join(map(str, tensor.shape))}\n"
    for name, tensor in model.state_dict().items()
    if not name.endswith("num_batches_tracked")
]
Path(__file__).with_name("transformers-resnet50.txt").write_text("".join(lines))
