"""Writes a small network as `torch.onnx.export` does today, with its weights in a second file.

    python tests/data/make_onnx.py

Writes tests/data/onnx/exported.onnx and exported.onnx.data, and exported.json: PyTorch's logits for an
image of noise, by the formula of tests/golden/seeded.py, divided by 255. Needs torch, onnx and onnxscript.
"""

import json
import sys
from pathlib import Path

import onnx
import torch
from torch import nn

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "golden"))
import seeded  # noqa: E402

FOLDER = HERE / "onnx"


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2)
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(torch.relu(self.conv(x)).mean(dim=(2, 3)))


def without_traces(path):
    """Removes the source code lines that the exporter adds to each node."""
    model = onnx.load(path, load_external_data=False)
    for part in [*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output]:
        del part.metadata_props[:]
    path.write_bytes(model.SerializeToString())


@torch.inference_mode()
def main():
    FOLDER.mkdir(exist_ok=True)
    model = Small().eval()
    for name, value in model.state_dict().items():
        value.copy_(torch.from_numpy(seeded.tensor(name, tuple(value.shape))))
    pixels = torch.from_numpy(seeded.pixels(1, 8, 8)).permute(0, 3, 1, 2).float() / 255
    torch.onnx.export(model, (pixels,), FOLDER / "exported.onnx")
    without_traces(FOLDER / "exported.onnx")
    (FOLDER / "exported.json").write_text(json.dumps(model(pixels)[0].tolist()) + "\n")


if __name__ == "__main__":
    main()
