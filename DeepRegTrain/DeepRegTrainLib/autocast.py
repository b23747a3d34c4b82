"""Half precision, where it is wanted and where it is quicker."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from DeepRegLib.methods.correspondence_pass import half_precision


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Convolutions in "bfloat16" or in "float32", or ("auto") in bfloat16 where the device computes with it. Weights,
    losses and statistics stay float32."""
    if precision == "float32":
        return nullcontext()
    if precision == "bfloat16":
        return torch.autocast(device.type, torch.bfloat16)
    return half_precision(device)
