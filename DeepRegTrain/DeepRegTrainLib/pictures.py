"""Pictures of pairs and of what the network makes of them, for the run folder."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from DeepRegLib.files import whole_file
from torch import Tensor

from .losses.transformer import pulled
from .pairs.training_pair import TrainingPair

WINDOW_HU = (-1000.0, 200.0)
DIFFERENCE_HU = 600.0
"""Differences of this size are black or white, none is grey."""
SMALLEST_TILE = 96
"""Pixels: smaller slices are shown larger."""
GAP = 2


def picture_of(pair: TrainingPair, field: Tensor) -> np.ndarray:
    """Four coronal slices side by side, (rows, columns) from 0 to 255, head up: fixed image, moving image, their
    difference before and after pulling the moving one through ``field`` (1, 3, z, y, x) in voxels."""
    middle = pair.fixed.shape[3] // 2
    after = pulled(pair.moving, field)
    slices = [
        *(_windowed(_coronal(image, middle)) for image in (pair.fixed, pair.moving)),
        *(_difference(_coronal(pair.fixed - image, middle)) for image in (pair.moving, after)),
    ]
    enlarged = max(1, -(-SMALLEST_TILE // max(slices[0].shape)))
    gap = np.full((slices[0].shape[0] * enlarged, GAP), 255, np.uint8)
    tiles: list[np.ndarray] = []
    for part in slices:
        tiles += [np.kron(part, np.ones((enlarged, enlarged), np.uint8)), gap]
    return np.hstack(tiles[:-1])


def write_pictures(path: Path, rows: Sequence[np.ndarray]) -> None:
    """Pictures of the same size below each other, as a PNG file. Raises
    :class:`~DeepRegLib.errors.OutputProblem`."""
    separated = [part for row in rows for part in (row, np.full((GAP, row.shape[1]), 255, np.uint8))]
    with whole_file(path) as temporary:
        temporary.write_bytes(_png(np.vstack(separated[:-1])))


def _coronal(image: Tensor, middle: int) -> np.ndarray:
    return image[0, 0, :, middle].float().cpu().numpy()[::-1]


def _windowed(part: np.ndarray) -> np.ndarray:
    low, high = WINDOW_HU
    return (255 * np.clip((part - low) / (high - low), 0, 1)).astype(np.uint8)


def _difference(part: np.ndarray) -> np.ndarray:
    return (127.5 + 127.5 * np.clip(part / DIFFERENCE_HU, -1, 1)).astype(np.uint8)


def _png(pixels: np.ndarray) -> bytes:
    """A greyscale image (rows, columns) of bytes in the PNG format: no package is needed for it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows, columns = pixels.shape
    header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    lines = b"".join(b"\0" + line.tobytes() for line in pixels)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
