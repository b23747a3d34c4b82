"""What a network has to beat: no displacement at all, and the solver that needs no training."""

from __future__ import annotations

import numpy as np
import torch
from DeepRegLib.errors import DeepRegError
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.refinement.settings import Quality
from DeepRegLib.registration import register
from torch import Tensor

from .losses.transformer import pushed
from .pairs.training_pair import TrainingPair

SOLVER = "lucas-kanade"
QUALITY: Quality = "fast"
"""Validation pairs have coarse voxels; a better quality changes nothing there."""
INSIDE = 0.5


def solver_field(pair: TrainingPair) -> Tensor | None:
    """The displacements (1, 3, z, y, x) in voxels that the training-free solver finds; None where it declines, as it
    does when a pair shows no region or no overlap."""
    geometry = Geometry(tuple(reversed(pair.fixed.shape[2:])), pair.spacing_mm)  # type: ignore[arg-type]

    def volume(image: Tensor, kind: type) -> Volume:
        return Volume(image[0, 0].cpu().numpy().astype(kind), geometry)

    try:
        found = register(
            volume(pair.fixed, np.float32),
            volume(pair.moving, np.float32),
            method=SOLVER,
            quality=QUALITY,
            fixed_mask=volume(pair.region > INSIDE, np.uint8),
            moving_mask=volume(pushed(pair.region, pair.displacement) > INSIDE, np.uint8),
            prealignment="none",
            similarity="intensity",
            device="cpu",
            threads=torch.get_num_threads(),
        )
    except DeepRegError:
        return None
    displacements = found.transform.array / np.array(pair.spacing_mm, np.float32)
    return torch.as_tensor(np.moveaxis(displacements, -1, 0)[None].copy(), device=pair.fixed.device)
