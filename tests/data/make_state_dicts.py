"""Writes small files with `torch.save` to tests/data/state_dicts.

    python tests/data/make_state_dicts.py

Needs torch. All but the last hold `weight`, float32 [2, 3], 0 to 5, and `bias`, bfloat16 [2].
"""

import argparse
import collections
import os
from pathlib import Path

import torch

FOLDER = Path(__file__).with_name("state_dicts")


class Shell:
    """Unpickling one of these runs a command."""

    def __reduce__(self):
        return os.system, ("touch run-by-a-pickle",)


def main():
    weight = torch.arange(6, dtype=torch.float32).view(2, 3)
    state = collections.OrderedDict(weight=weight, bias=torch.tensor([0.5, -2.0]).bfloat16())
    transposed = {**state, "weight": weight.t().contiguous().t()}
    optimizer = {"state": {0: {"momentum_buffer": torch.ones(2)}}, "lr": 0.1, "betas": (0.9, 0.99)}
    files = {
        "zip.pth": (state, True),
        "legacy.pth": (state, False),
        "transposed.bin": (transposed, True),
        "checkpoint.pth": ({"epoch": 3, "state_dict": state, "optimizer": optimizer}, True),
        "objects.pth": ({"args": argparse.Namespace(lr=0.1), "state_dict": state}, True),
        "averaged.pth": (
            {"state_dict_ema": {"weight": weight + 1}, "net": {"epoch": 3}, "state_dict": state},
            True,
        ),
        "code.pth": ({"hook": Shell(), "state_dict": state}, True),
    }
    FOLDER.mkdir(exist_ok=True)
    for name, (value, is_zip) in files.items():
        torch.save(value, FOLDER / name, _use_new_zipfile_serialization=is_zip)


if __name__ == "__main__":
    main()
