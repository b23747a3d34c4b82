"""From the settings of a run to the network under training."""

from __future__ import annotations

from typing import Any

from DeepRegLib.errors import BadInput
from DeepRegLib.models.build import build_network
from DeepRegLib.networks.correspondence import CorrespondenceNetwork
from DeepRegLib.networks.progressive_unet import ProgressiveUNet
from DeepRegLib.networks.unet import UNet
from DeepRegLib.networks.vgg_grid import VGGGrid

from ..settings import Settings
from .correspondence import TrainableCorrespondence
from .dense import TrainableUNet
from .grid import TrainableVGGGrid
from .interface import TrainableNetwork
from .progressive import TrainableProgressiveUNet


def build_trainable(settings: Settings) -> TrainableNetwork:
    """A new network with random weights (drawn from PyTorch's global generator), on the CPU.

    Raises :class:`~DeepRegLib.errors.ModelProblem` for arguments that it does not take and
    :class:`~DeepRegLib.errors.BadInput` for pairs of a size that it does not take.
    """
    arguments = dict(settings.arguments)
    network = build_network(settings.network, arguments)
    _check_size(network, settings)
    size, objective = settings.size, settings.objective
    if isinstance(network, ProgressiveUNet):
        delta, period = settings.schedule
        return TrainableProgressiveUNet(network, arguments, size, objective, delta, period, settings.at_full_resolution)
    if isinstance(network, UNet):
        return TrainableUNet(network, arguments, size, objective)
    if isinstance(network, VGGGrid):
        return TrainableVGGGrid(network, arguments, size, objective)
    assert isinstance(network, CorrespondenceNetwork)
    if settings.spacing_mm is None:
        raise BadInput("This network works on voxels of a fixed size: the setting 'spacing_mm' is missing.")
    return TrainableCorrespondence(
        network, arguments, settings.spacing_mm, objective, settings.steps, settings.candidates
    )


def _check_size(network: Any, settings: Settings) -> None:
    stride = network.unet.stride if isinstance(network, ProgressiveUNet) else network.stride
    nodes = settings.size // stride
    if settings.size % stride or (isinstance(network, VGGGrid) and nodes < 2):
        raise BadInput(
            f"The network '{settings.network}' needs pairs whose sides are multiples of {stride} voxels, not "
            f"{settings.size}.",
            f"Choose --size {max(2, round(settings.size / stride)) * stride}.",
        )
