"""Tensors from a formula, so that two programs have the same weights and no file is shared.

The formula, for a tensor `name` with elements i = 0, 1, ... in row-major order, in wrapping u64:

    seed          = fnv1a64(name as UTF-8)
    z             = splitmix64(seed + i)
    u             = (z >> 40) / 2^24                                   in [0, 1), f64

    splitmix64(x) : x += 0x9E3779B97F4A7C15
                    x  = (x ^ x >> 30) * 0xBF58476D1CE4E5B9
                    x  = (x ^ x >> 27) * 0x94D049BB133111EB
                    x ^ x >> 31

The value, computed in f64 and rounded to f32, by the kind of tensor:

    running_var, 1-D weight of a batch norm         0.5 + u
    running_mean, bias of a batch norm              (2u - 1) * 0.2
    fc.bias                                         (2u - 1) * 0.1
    weight with two or more dimensions              (2u - 1) * sqrt(3 / fan_in)

where fan_in is the product of all dimensions but the first. He's sqrt(6 / fan_in) would make the
activations of the deeper networks grow to 1e5, for the running statistics are not theirs; with 3
they stay small while every branch still matters. The tensor `pixels` is uint8
[N, H, W, 3] with the values z >> 56.

Sources: FNV-1a by Fowler, Noll and Vo; splitmix64 by Steele, Lea and Flood 2014.
"""

import math

import numpy as np

U64 = 0xFFFF_FFFF_FFFF_FFFF


def fnv1a64(text: str) -> int:
    hash = 0xCBF2_9CE4_8422_2325
    for byte in text.encode():
        hash = ((hash ^ byte) * 0x100_0000_01B3) & U64
    return hash


def splitmix64(x: np.ndarray) -> np.ndarray:
    """uint64 to uint64, element by element; numpy's arrays wrap."""
    x = x + np.uint64(0x9E37_79B9_7F4A_7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58_476D_1CE4_E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D0_49BB_1331_11EB)
    return x ^ (x >> np.uint64(31))


def random_bits(name: str, n: int) -> np.ndarray:
    """The formula's z: uint64 [n]."""
    return splitmix64(np.arange(n, dtype=np.uint64) + np.uint64(fnv1a64(name)))


def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A weight, f32 of the given shape."""
    u = (random_bits(name, math.prod(shape)) >> np.uint64(40)).astype(np.float64) / 2**24
    if name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
        values = 0.5 + u
    elif name == "fc.bias":
        values = (2 * u - 1) * 0.1
    elif len(shape) == 1:
        values = (2 * u - 1) * 0.2
    else:
        values = (2 * u - 1) * math.sqrt(3 / math.prod(shape[1:]))
    return values.astype(np.float32).reshape(shape)


def pixels(n: int, height: int, width: int) -> np.ndarray:
    """Images of noise, uint8 [n, height, width, 3]."""
    bits = random_bits("pixels", n * height * width * 3)
    return (bits >> np.uint64(56)).astype(np.uint8).reshape(n, height, width, 3)
