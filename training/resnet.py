"""The CIFAR networks of He et al. 2015, section 4.2 (https://arxiv.org/abs/1512.03385).

The residual networks, and the plain networks with the same layers but without shortcuts.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Depth 6n + 2: one convolution, three stages of n blocks with two convolutions each, one linear.
RESIDUAL = {f"resnet{6 * n + 2}": n for n in (3, 5, 7, 9, 18, 200)}
PLAIN = {f"plain{6 * n + 2}": n for n in (3, 5, 7, 9, 18)}
ARCHITECTURES = RESIDUAL | PLAIN
WIDTHS = (16, 32, 64)


def conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)


def shortcut(x: Tensor, outputs: int, stride: int) -> Tensor:
    """Option A, without parameters: subsamples, and pads half of the new channels before and half after."""
    before = (outputs - x.shape[1]) // 2
    after = outputs - x.shape[1] - before
    return F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, before, after))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions: f32 [N, inputs, H, W] to [N, outputs, H / s, W / s].

    A residual block adds its input to their output; a plain block does not.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, residual: bool):
        super().__init__()
        self.residual = residual
        self.conv1 = conv3x3(inputs, outputs, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = conv3x3(outputs, outputs)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.changes_shape = stride != 1 or inputs != outputs

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if not self.residual:
            return F.relu(y)
        if self.changes_shape:
            x = shortcut(x, self.conv1.out_channels, self.conv1.stride[0])
        return F.relu(y + x)


class ResNet(nn.Module):
    """Computes logits f32 [N, classes] from normalised images f32 [N, 3, 32, 32].

    Parameters have the names of torchvision's ResNet: conv1, bn1, layer1.0.conv1, ..., fc.
    """

    def __init__(self, architecture: str, classes: int = 10):
        super().__init__()
        n = ARCHITECTURES[architecture]
        self.conv1 = conv3x3(3, WIDTHS[0])
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        residual = architecture in RESIDUAL
        self.layer1 = stage(WIDTHS[0], WIDTHS[0], n, 1, residual)
        self.layer2 = stage(WIDTHS[0], WIDTHS[1], n, 2, residual)
        self.layer3 = stage(WIDTHS[1], WIDTHS[2], n, 2, residual)
        self.fc = nn.Linear(WIDTHS[2], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)  # He et al. 2015b, "Delving deep"
        nn.init.zeros_(self.fc.bias)

    def embed(self, x: Tensor) -> Tensor:
        """The classifier's input: f32 [N, 64]."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return x.mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.embed(x))


def stage(inputs: int, outputs: int, blocks: int, stride: int, residual: bool) -> nn.Sequential:
    """A stage. The first block may halve the size and increase the width; the others keep the shape."""
    first = BasicBlock(inputs, outputs, stride, residual)
    rest = [BasicBlock(outputs, outputs, 1, residual) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)


def tensors(model: nn.Module) -> dict[str, Tensor]:
    """The tensors of a weights file: f32 with torchvision's names, without `num_batches_tracked`."""
    state = model.state_dict()
    return {
        name: value.detach().to(torch.float32).contiguous()
        for name, value in state.items()
        if not name.endswith("num_batches_tracked")
    }
