"""Trains a CIFAR-10 ResNet as in He et al. 2015, section 4.2, and writes its model folder.

The test images are read only once, after the last epoch, to measure the accuracy in the card. To choose
options, use `--holdout`, which validates on some of the training images and never reads the test images.

Under torchrun, each process computes its part of every batch; batch norm uses the statistics of that part.
"""

import argparse
import csv
import math
import os
import shlex
import time
from collections.abc import Iterable
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import cifar10
from card import Figure, write_card
from files import replacing
from resnet import ARCHITECTURES, ResNet, tensors

RANK = int(os.environ.get("RANK", "0"))  # set by torchrun
WORLD_SIZE = int(os.environ.get("WORLD_SIZE", "1"))


def main() -> None:
    args = parse_arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    if WORLD_SIZE > 1:
        dist.init_process_group("gloo")
    pixels, labels, _ = cifar10.load(args.data / "train.parquet")
    kept = len(labels) - args.holdout
    model = train(args, pixels[:kept], labels[:kept])
    if RANK > 0:
        return
    if args.holdout:
        scores = cifar10.logits(model, pixels[kept:])
        print(f"hold-out top-1 {cifar10.accuracy(scores, labels[kept:]):.4f}")
    else:
        write_model(args, model)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train.parquet and test.parquet")
    parser.add_argument("--out", type=Path, required=True, help="output folder")
    parser.add_argument("--arch", choices=ARCHITECTURES, default="resnet20")
    parser.add_argument("--epochs", type=int, default=164)
    parser.add_argument("--schedule", choices=SCHEDULES, default="step")
    parser.add_argument("--warm-up", type=float, default=0, help="epochs of linear learning rate warm-up")
    parser.add_argument("--lr", type=float, default=0.1, help="maximum learning rate")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--weight-decay", type=float, default=1e-4)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cutout", type=int, default=0, help="side of the cutout square in pixels; 0 for none")
    parser.add_argument("--start-from", type=Path, help="initial weights, a safetensors file")
    parser.add_argument("--holdout", type=int, default=0, help="number of training images to hold out for validation")
    return parser.parse_args()


def step(progress: float) -> float:
    """Step schedule: a tenth after half, a hundredth after three quarters (32k and 48k of 64k in the paper)."""
    return 1.0 if progress < 0.5 else 0.1 if progress < 0.75 else 0.01


def cosine(progress: float) -> float:
    """Cosine schedule, to zero."""
    return 0.5 + 0.5 * math.cos(math.pi * progress)


# Each maps the progress after the warm-up, 0 to 1, to a factor of the maximum learning rate.
SCHEDULES = {"step": step, "cosine": cosine}


def learning_rate(args: argparse.Namespace, epoch: float) -> float:
    """Linear warm-up from a twentieth of the maximum, then the schedule."""
    if epoch < args.warm_up:
        return args.lr * (0.05 + 0.95 * epoch / args.warm_up)
    progress = (epoch - args.warm_up) / (args.epochs - args.warm_up)
    return args.lr * SCHEDULES[args.schedule](progress)


def train(args: argparse.Namespace, pixels: Tensor, labels: Tensor) -> nn.Module:
    """Trains the model, starting at the last checkpoint if there is one."""
    torch.manual_seed(args.seed)
    model = ResNet(args.arch, len(cifar10.LABELS)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        model.parameters(), args.lr, momentum=0.9, weight_decay=args.weight_decay, fused=True
    )
    if args.start_from:
        loaded = model.load_state_dict(load_file(args.start_from), strict=False)
        # The file has no num_batches_tracked; anything else that differs means that it is of another network.
        missing = [key for key in loaded.missing_keys if not key.endswith(".num_batches_tracked")]
        if missing or loaded.unexpected_keys:
            raise SystemExit(f"{args.start_from} does not fit {args.arch}: {(missing + loaded.unexpected_keys)[0]}")
    run = Run(args, model, optimizer)
    run.resume()
    padded = cifar10.pad(pixels)
    while run.epoch < args.epochs:
        # The random state depends only on seed and epoch, so a resumed run has the same result.
        rng = torch.Generator().manual_seed(args.seed * 100_003 + run.epoch)
        batches = cifar10.augmented_batches(padded, labels, args.batch, args.cutout, rng)
        run.train_epoch(batches, len(labels))
        if RANK == 0:
            run.save()
    return model


class Run:
    """The state of a training run between two epochs."""

    def __init__(self, args: argparse.Namespace, model: nn.Module, optimizer: torch.optim.SGD):
        self.args, self.model, self.optimizer = args, model, optimizer
        self.forward = DistributedDataParallel(model) if WORLD_SIZE > 1 else model
        self.history = []
        self.checkpoint = args.out / "checkpoint.pt"

    @property
    def epoch(self) -> int:
        """Number of completed epochs."""
        return len(self.history)

    def train_epoch(self, batches: Iterable[tuple[Tensor, Tensor]], images: int) -> None:
        """Trains for one epoch, and records the mean loss and error."""
        started = time.monotonic()
        self.model.train()
        steps = images // self.args.batch
        totals = torch.zeros(2)  # sums of loss and wrong answers of this process's images
        for i, (x, y) in enumerate(batches):
            x, y = x[RANK::WORLD_SIZE], y[RANK::WORLD_SIZE]
            self.set_learning_rate(learning_rate(self.args, self.epoch + i / steps))
            with torch.autocast("cpu", torch.bfloat16, enabled=self.args.precision == "bf16"):
                scores = self.forward(x)
            loss = F.cross_entropy(scores.float(), y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            wrong = (scores.argmax(dim=1) != y).sum()
            totals += torch.stack([loss.detach() * len(y), wrong])
        if WORLD_SIZE > 1:
            dist.all_reduce(totals)
        loss_mean, error = (totals / (steps * self.args.batch)).tolist()
        row = {
            "epoch": self.epoch + 1,
            "loss": round(loss_mean, 5),
            "error": round(error, 5),
            "seconds": round(time.monotonic() - started, 1),
        }
        self.history.append(row)
        if RANK == 0:
            print(row, flush=True)

    def set_learning_rate(self, value: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = value

    def save(self) -> None:
        """Writes the log and a checkpoint atomically."""
        with replacing(self.args.out / "log.csv") as path, path.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=self.history[0])
            writer.writeheader()
            writer.writerows(self.history)
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "history": self.history,
        }
        with replacing(self.checkpoint) as path:
            torch.save(state, path)

    def resume(self) -> None:
        if not self.checkpoint.exists():
            return
        state = torch.load(self.checkpoint, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.history = state["history"]
        print(f"resuming after epoch {self.epoch}", flush=True)


def write_model(args: argparse.Namespace, model: nn.Module) -> None:
    """Measures the model on the test images and writes `model.safetensors` and `card.toml`."""
    pixels, labels, format = cifar10.load(args.data / "test.parquet")
    scores = cifar10.logits(model, pixels)
    figures = [
        Figure(
            metric=f"top-{k}",
            value=round(cifar10.accuracy(scores, labels, k), 4),
            dataset=f"CIFAR-10 test, {len(labels)} images as {format}",
            command=command(args),
        )
        for k in (1, 5)
    ]
    with replacing(args.out / "model.safetensors") as path:
        path.write_bytes(save(tensors(model)))
    write_card(args.out / "card.toml", args.arch, figures)
    for figure in figures:
        print(f"{figure.dataset}: {figure.metric} {figure.value:.4f}")


def command(args: argparse.Namespace) -> str:
    """The command line that reproduces the run: with all options, and placeholders for paths."""
    program = ["torchrun", f"--nproc-per-node={WORLD_SIZE}"] if WORLD_SIZE > 1 else ["python"]
    words = [*program, "training/train.py", "--data", "path/to/cifar10", "--out", "path/to/output"]
    for name, value in vars(args).items():
        if name == "start_from" and value:
            value = Path("models") / value.parent.name / value.name
        if name not in ("data", "out", "holdout") and value is not None:
            words += ["--" + name.replace("_", "-"), str(value)]
    return shlex.join(words)


if __name__ == "__main__":
    main()
