"""One pass of a network over a pair: is there memory for it, what goes in, what comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from ..errors import BadInput, Cancelled, ModelProblem, OutOfMemory
from ..images.geometry import Geometry
from ..images.memory import available_memory_bytes
from ..models.card import ModelCard
from ..models.find import Model
from ..models.load import load_network
from ..networks.fold_batch_norm import fold_batch_norm
from ..networks.inference import gradient_magnitude, voxels_to_mm, window_intensity
from ..networks.layers import IMAGE_CHANNELS, check_images
from ..networks.memory import peak_inference_bytes
from .interface import Cancelled as AskedToStop
from .interface import Progress
from .pair import Pair

PREPROCESSING: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "gradient magnitude": gradient_magnitude,
    "intensity window": window_intensity,
}
"""What a model card can ask for: images (1, 1, z, y, x) in HU on the working grid to what the network sees."""
SHARE_OF_IMAGES = 0.2
"""Share of the progress that bringing both images to the working grid takes."""


def ready_network(model: Model, inferring: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """The network of ``model`` for inference on the CPU: float32, batch normalisation folded into the convolutions.

    Raises :class:`~DeepRegLib.errors.ModelProblem`.
    """
    return fold_batch_norm(inferring(load_network(model)))


def check_size(network: nn.Module, card: ModelCard) -> None:
    """Raises :class:`~DeepRegLib.errors.ModelProblem` when the input of the card is none that the network takes."""
    try:
        check_images(torch.empty(_input_shape(card), device="meta"), network.stride)  # type: ignore[arg-type]
    except BadInput as problem:
        raise ModelProblem(f"The model '{card.name}' does not fit its own input. {problem}") from problem


def check_memory(network: nn.Module, card: ModelCard, device: torch.device) -> None:
    """Raises :class:`~DeepRegLib.errors.OutOfMemory` when one pass does not fit into what is free on ``device``."""
    require_memory(peak_inference_bytes(network, _input_shape(card)), card.name, device)


def require_memory(needed: int, model: str, device: torch.device) -> None:
    """Raises :class:`~DeepRegLib.errors.OutOfMemory` unless ``needed`` bytes are free on ``device`` for ``model``."""
    if device.type == "cuda":
        # What PyTorch holds in reserve is free for this process, though not for others.
        reserve = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        free: int | None = torch.cuda.mem_get_info(device)[0] + reserve
        where, hint = "memory of the graphics card", "Close other programs, or choose the device 'cpu'."
    else:
        free = available_memory_bytes()
        where, hint = "memory", "Close other programs, or choose a method without a model."
    if free is not None and free < needed:
        raise OutOfMemory(
            f"The model '{model}' needs {needed / 1e9:.2g} GB of {where}; {free / 1e9:.2g} GB are free.", hint
        )


def displacements_mm(
    network: nn.Module,
    preprocessing: str,
    pair: Pair,
    geometry: Geometry,
    progress: Progress,
    cancelled: AskedToStop,
) -> np.ndarray:
    """What ``network`` says about a pair on the working grid ``geometry``: (z, y, x, 3), float32, mm along LPS, on as
    many samples as the network gives (all voxels, or nodes).

    Asks whether to stop before each convolution; raises :class:`~DeepRegLib.errors.Cancelled`.
    """

    def step(fraction: float, words: str) -> None:
        if cancelled():
            raise Cancelled("The registration was cancelled; nothing was written.")
        progress(fraction, words)

    prepared = PREPROCESSING[preprocessing]
    with torch.inference_mode():
        step(0.0, "Preparing the images")
        fixed = prepared(pair.fixed_on(geometry))
        step(SHARE_OF_IMAGES / 2, "Preparing the images")
        moving = prepared(pair.moving_on(geometry))
        network = network.to(pair.device)
        with _told_of_convolutions(
            network, lambda done: step(SHARE_OF_IMAGES + (1 - SHARE_OF_IMAGES) * done, "Running the network")
        ):
            voxels = network(torch.cat([fixed, moving], dim=1))
        millimetres = voxels_to_mm(voxels, geometry.spacing, geometry.axes.tolist())
        step(1.0, "Running the network")
        return millimetres[0].cpu().numpy()


@contextmanager
def _told_of_convolutions(network: nn.Module, begun: Callable[[float], None]) -> Iterator[None]:
    """Calls ``begun`` with the share of the convolutions that are done before each of them."""
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv3d | nn.ConvTranspose3d)]
    count = iter(range(len(convolutions)))
    hooks = [
        layer.register_forward_pre_hook(lambda layer, inputs: begun(next(count) / len(convolutions)))
        for layer in convolutions
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _input_shape(card: ModelCard) -> tuple[int, ...]:
    assert card.input.size is not None  # the card was checked
    return (1, IMAGE_CHANNELS, *reversed(card.input.size))
