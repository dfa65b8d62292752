"""Writes the logits of Hugging Face transformers' own ResNet, and what it saves beside its weights.

    .venv-models/bin/python tests/golden/make_transformers.py

As `make.py`, but the weights follow the formula under transformers' names, so that our reading of
names is compared too. `resnet50` is `microsoft/resnet-50`'s configuration, `resnet50-v1` the same
with the stride on the first 1x1. The others have ten classes. The script also needs transformers==5.23.0.
"""

import json
from pathlib import Path

import torch
import transformers
from make import HERE, IMAGENET, SMALL, Kind, network_input, rounded, seed
from transformers import ResNetConfig, ResNetForImageClassification
from transformers_names import BASIC

KIND = Kind(IMAGENET.classes, (64, 64), IMAGENET.mean, IMAGENET.std)


@torch.inference_mode()
def write(name: str, kind: Kind, **changes) -> None:
    config = ResNetConfig(num_labels=kind.classes, **changes)
    model = ResNetForImageClassification(config)
    seed(model)
    model.eval().double()
    pixels = network_input(kind)
    golden = {
        "classes": kind.classes,
        "input": kind.input,
        "logits": rounded(model(pixels).logits),
        "embedding_first8": rounded(model.resnet(pixels).pooler_output.flatten(1)[:, :8]),
        "config": config.to_diff_dict(),
        "made_by": {"torch": torch.__version__, "transformers": transformers.__version__},
    }
    del golden["config"]["id2label"], golden["config"]["label2id"]
    (HERE / f"transformers-{name}.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    write("resnet50", KIND)
    write("resnet50-v1", KIND, downsample_in_bottleneck=True)
    write("resnet50-gelu", SMALL, hidden_act="gelu")
    write("resnet50-stride64", SMALL, downsample_in_first_stage=True)
    both = {"downsample_in_bottleneck": True, "downsample_in_first_stage": True}
    write("resnet50-v1-stride64-silu", SMALL, hidden_act="silu", **both)
    write("resnet18-stride64-gelu", SMALL, hidden_act="gelu", downsample_in_first_stage=True, **BASIC)
