"""Networks of known weights: what they propose is what their weights say, in millimetres on tilted grids."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from DeepRegLib.errors import Cancelled, ModelProblem, OutOfMemory
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.region import Region
from DeepRegLib.images.volume import Volume
from DeepRegLib.methods import network_pass
from DeepRegLib.methods.interface import method_named
from DeepRegLib.methods.pair import Pair
from DeepRegLib.methods.progressive_unet import PROGRESSIVE_UNET
from DeepRegLib.methods.tps_grid import TPS_GRID
from DeepRegLib.models.card import Architecture, ModelInput
from DeepRegLib.models.save import save_model
from DeepRegLib.networks.progressive_unet import ProgressiveUNet
from DeepRegLib.networks.unet import UNet
from DeepRegLib.networks.vgg_grid import VGGGrid
from DeepRegLib.phantom import make_phantom
from DeepRegLib.registration import register
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.thin_plate_spline import ThinPlateSpline
from model_cases import TPS_CARD, UNET_CARD, only_folder_of_models, turned_and_shifted
from scipy import ndimage
from torch import nn

CPU = torch.device("cpu")
SHIFT_VOXELS = (1.5, -2.0, 3.25)
FIXED_SLOPE = np.array([2.0, -3.0, 4.0])
MOVING_SLOPE = np.array([-4.0, 1.0, 2.5])
"""HU per mm along L, P, S: grey values that say where they are."""
ONE_LEVEL = {"base": 1, "levels": 1}
TWO_LEVELS = UNET_CARD.architecture.arguments
SAME_ERROR_MM = 0.02


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return only_folder_of_models(tmp_path, monkeypatch)


@pytest.fixture
def pair(oblique_geometry: Geometry) -> Pair:
    """Ramps of grey values on tilted grids, a small region in the middle, and a pre-alignment that turns and shifts."""
    geometry = replace(oblique_geometry, size=(90, 80, 40))
    prealignment = turned_and_shifted(geometry)
    mask = np.zeros(geometry.shape, np.uint8)
    mask[17:24, 30:50, 35:55] = 1
    return Pair(
        ramp(geometry, FIXED_SLOPE),
        ramp(geometry, MOVING_SLOPE),
        Region.given(Volume(mask, geometry)),
        prealignment,
        CPU,
    )


def ramp(geometry: Geometry, slope: np.ndarray) -> Volume:
    values = (geometry.points() - geometry.centre) @ slope - 200.0
    return Volume(values.astype(np.float32), geometry)


def propose(name: str, pair: Pair) -> DisplacementField:
    (field,) = method_named(name).propose(pair, lambda fraction, words: None, lambda: False)
    return field


def silent(network: nn.Module, bias: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> nn.Module:
    """``network`` with zero weights: whatever it sees, it says ``bias``."""
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.Conv3d | nn.ConvTranspose3d):
                layer.weight.zero_()
                layer.bias.zero_()
        network.head.bias.copy_(torch.tensor(bias))
    return network


def millimetres(geometry: Geometry, voxels: np.ndarray) -> np.ndarray:
    """Vectors in voxels to LPS mm as SimpleITK moves an index."""
    image = geometry.apply_to(sitk.Image(geometry.size, sitk.sitkUInt8))
    origin = np.array(image.TransformContinuousIndexToPhysicalPoint((0.0, 0.0, 0.0)))
    moved = [image.TransformContinuousIndexToPhysicalPoint(v.tolist()) for v in voxels.reshape(-1, 3)]
    return (np.array(moved) - origin).reshape(voxels.shape)


def random_points(geometry: Geometry) -> np.ndarray:
    share = np.random.default_rng(0).uniform(0, 1, (200, 3))
    return geometry.to_physical(share * (np.array(geometry.size) - 1))


@pytest.mark.parametrize(
    ("card", "network"), [(UNET_CARD, UNet(**TWO_LEVELS)), (TPS_CARD, VGGGrid((2,)))], ids=["unet", "tps"]
)
def test_a_constant_in_voxels_is_a_constant_in_millimetres_on_a_tilted_grid(models, pair, card, network):
    save_model(models, card, silent(network, SHIFT_VOXELS))
    field = propose(card.name, pair)
    assert field.geometry.size == card.input.size
    expected = millimetres(pair.working_grid(card.input.size), np.array(SHIFT_VOXELS))
    assert np.abs(expected).max() > 3.0
    np.testing.assert_allclose(field.at(random_points(field.geometry)), np.tile(expected, (200, 1)), atol=1e-4)


def test_nodes_that_are_moved_by_an_affine_map_move_every_point_by_it(models, pair):
    """Pooling keeps the brightest voxel of each block, which in a ramp is always the same one: nodes see an affine
    function of where they are, one of the fixed and one of the moving image."""
    network = silent(VGGGrid((2,)), (0.5, -1.0, 2.0))
    head = np.array([[8.0, -3.0], [-5.0, 10.0], [4.0, 6.0]])
    with torch.no_grad():
        for channel in range(2):
            network.features[0].weight[channel, channel, 1, 1, 1] = 1.0
        network.head.weight[..., 0, 0, 0] = torch.tensor(head)
    save_model(models, TPS_CARD, network)
    field = propose("fake-tps", pair)

    grid = pair.working_grid(TPS_CARD.input.size)
    points = grid.points()
    seen = []
    for slope, at in ((FIXED_SLOPE, points), (MOVING_SLOPE, pair.prealignment.map_points(points))):
        window = ((at - pair.fixed.geometry.centre) @ slope - 200.0 + 1024.0) / 1624.0
        seen.append(window.reshape(6, 2, 6, 2, 6, 2).max((1, 3, 5)))
    displaced = millimetres(grid, np.stack(seen, -1) @ head.T + [0.5, -1.0, 2.0]).reshape(-1, 3)
    z, y, x = np.meshgrid(*[np.linspace(0, 11, 6)] * 3, indexing="ij")
    nodes = millimetres(grid, np.stack([x, y, z], -1)).reshape(-1, 3) + grid.origin
    affine, residual, _, _ = np.linalg.lstsq(np.c_[nodes, np.ones(216)], displaced, rcond=None)
    assert np.ptp(displaced, axis=0).min() > 2.0 and residual.max() < 1e-12

    inside = random_points(grid)
    np.testing.assert_allclose(field.at(inside), np.c_[inside, np.ones(200)] @ affine, atol=2e-3)


def test_the_unet_sees_the_gradient_magnitude_of_the_fixed_image_on_the_working_grid(models, pair):
    network = silent(UNet(**ONE_LEVEL))
    with torch.no_grad():
        network.encoders[0][0].weight[0, 0, 1, 1, 1] = 1.0
        network.encoders[0][3].weight[0, 0, 1, 1, 1] = 1.0
        network.head.weight[0, 0] = 100.0
    save_model(models, replace(UNET_CARD, architecture=Architecture("unet", ONE_LEVEL)), network)
    field = propose("fake-unet", pair)
    values = (field.geometry.points() - pair.fixed.geometry.centre) @ FIXED_SLOPE - 200.0
    seen = ndimage.gaussian_gradient_magnitude(values / 1000.0, 0.5)[8, 8, 8]
    expected = millimetres(field.geometry, np.array([100.0 * seen, 0.0, 0.0]))
    np.testing.assert_allclose(field.array[4:-4, 4:-4, 4:-4], np.tile(expected, (8, 8, 8, 1)), atol=2e-3)


def test_progressive_weights_propose_what_their_baseline_proposes(models, pair):
    torch.manual_seed(3)
    progressive = ProgressiveUNet(**TWO_LEVELS)
    save_model(models, UNET_CARD, progressive.unet)
    card = replace(UNET_CARD, name="fake-progressive", architecture=Architecture("progressive_unet", TWO_LEVELS))
    save_model(models, card, progressive)
    baseline = propose("fake-unet", pair).array
    assert baseline.std() > 0
    np.testing.assert_array_equal(propose("fake-progressive", pair).array, baseline)


def test_the_same_pair_gives_the_same_bits(models, pair):
    torch.manual_seed(4)
    save_model(models, TPS_CARD, VGGGrid((2,)))
    first = propose("fake-tps", pair).array
    assert first.std() > 0
    np.testing.assert_array_equal(propose("fake-tps", pair).array, first)


@pytest.mark.parametrize("kind", [TPS_GRID, PROGRESSIVE_UNET], ids=lambda kind: kind.name)
def test_a_kind_names_networks_and_preprocessing_that_exist(kind):
    from DeepRegLib.models.build import ARCHITECTURES

    assert kind.preprocessing in network_pass.PREPROCESSING
    assert set(kind.architectures) <= set(ARCHITECTURES)


@pytest.mark.parametrize(
    ("sentence", "changes"),
    [
        ("network 'unet'", {"architecture": UNET_CARD.architecture}),
        ("gradient magnitude", {"input": ModelInput((12, 12, 12), None, "HU", "gradient magnitude")}),
        ("'T1'", {"input": ModelInput((12, 12, 12), None, "T1", "intensity window")}),
        ("fixed size", {"input": ModelInput((12, 12, 12), (2.0, 2.0, 2.0), "HU", "intensity window")}),
        ("no cube", {"input": ModelInput((12, 12, 16), None, "HU", "intensity window")}),
        ("multiples of 2", {"input": ModelInput((13, 13, 13), None, "HU", "intensity window")}),
        ("'mm'", {"output_units": "mm"}),
    ],
)
def test_a_card_that_the_method_cannot_follow_is_refused_before_the_work(models, sentence, changes):
    card = replace(TPS_CARD, **changes)
    network = UNet(2, 2) if card.architecture.name == "unet" else VGGGrid((2,))
    save_model(models, card, network)
    with pytest.raises(ModelProblem, match=sentence):
        method_named("fake-tps").check(CPU)


def test_weights_that_are_gone_or_changed_are_refused_before_the_work(models):
    model = save_model(models, TPS_CARD, VGGGrid((2,)))
    method_named("fake-tps").check(CPU)
    model.weights.write_bytes(model.weights.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelProblem, match="checksum"):
        method_named("fake-tps").check(CPU)
    model.weights.unlink()
    with pytest.raises(ModelProblem, match="missing"):
        method_named("fake-tps").check(CPU)


def test_too_little_memory_is_said_before_the_network_runs(models, pair, monkeypatch):
    save_model(models, UNET_CARD, UNet(**TWO_LEVELS))
    monkeypatch.setattr(network_pass, "available_memory_bytes", lambda: 100_000)
    with pytest.raises(OutOfMemory, match=r"fake-unet.*of memory"):
        method_named("fake-unet").check(CPU)
    with pytest.raises(OutOfMemory, match="fake-unet"):
        propose("fake-unet", pair)
    monkeypatch.setattr(network_pass, "available_memory_bytes", lambda: None)
    method_named("fake-unet").check(CPU)


def test_on_a_graphics_card_its_own_memory_counts(models, monkeypatch):
    save_model(models, UNET_CARD, UNet(**TWO_LEVELS))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 50_000)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 0)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (50_000, 10**9))
    with pytest.raises(OutOfMemory, match="graphics card") as raised:
        method_named("fake-unet").check(torch.device("cuda"))
    assert "'cpu'" in raised.value.hint
    # What PyTorch keeps in reserve for this process is free for it.
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 10**9)
    method_named("fake-unet").check(torch.device("cuda"))


def test_progress_rises_to_one_and_a_wish_to_stop_is_heard_at_every_step(models, pair):
    save_model(models, UNET_CARD, UNet(**TWO_LEVELS))
    told: list[float] = []
    method = method_named("fake-unet")
    method.propose(pair, lambda fraction, words: told.append(fraction), lambda: False)
    assert told == sorted(told) and told[0] == 0.0 and told[-1] == 1.0 and len(told) > 6
    for patience in range(len(told)):
        answers = iter([False] * patience + [True])
        with pytest.raises(Cancelled):
            method.propose(pair, lambda fraction, words: None, answers.__next__)


@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (6.0, -6.0, 6.0)], ids=["no motion", "wrong motion"])
def test_a_poor_network_does_no_harm_to_a_registration(models, shift):
    """The better of two starts is kept, and the evidence names both."""
    phantom = make_phantom((64, 48, 48), seed=1)
    save_model(models, UNET_CARD, silent(UNet(**TWO_LEVELS), shift))
    errors = {}
    for method in ("lucas-kanade", "fake-unet"):
        registration = register(phantom.fixed, phantom.moving, method=method, quality="balanced", threads=1)
        mapped = registration.transform.map_points(phantom.fixed_landmarks)
        errors[method] = np.linalg.norm(mapped - phantom.moving_landmarks, axis=1).mean()
    start = registration.evidence["start"]
    assert [candidate["name"] for candidate in start["candidates"]][:2] == ["zero", "fake-unet"]
    assert registration.evidence["method"] == "fake-unet"
    assert not any(shift) or start["chosen"] == "zero"
    assert errors["fake-unet"] <= errors["lucas-kanade"] + SAME_ERROR_MM


def test_in_the_quality_fast_the_field_is_that_of_the_network(models):
    phantom = make_phantom((64, 48, 48), seed=1)
    save_model(models, UNET_CARD, silent(UNet(**TWO_LEVELS), (1.0, -2.0, 1.5)))
    registration = register(phantom.fixed, phantom.moving, method="fake-unet", quality="fast", threads=1)
    own = Pair(
        registration.fixed, registration.moving, registration.region, registration.prealignment, torch.device("cpu")
    )
    expected = millimetres(own.working_grid(UNET_CARD.input.size), np.array((1.0, -2.0, 1.5)))
    np.testing.assert_allclose(
        registration.field.array, np.broadcast_to(expected, registration.field.array.shape), atol=1e-3
    )
    assert registration.evidence["start"]["chosen"] == "fake-unet"
    assert registration.control_displacements is None


def test_the_control_points_of_a_spline_grid_are_given_with_the_result(models):
    phantom = make_phantom((64, 48, 48), seed=1)
    save_model(models, TPS_CARD, silent(VGGGrid((2,)), SHIFT_VOXELS))
    registration = register(phantom.fixed, phantom.moving, method="fake-tps", quality="fast", threads=1, refine=False)
    control = registration.control_displacements
    assert control is not None and control.geometry.size == (6, 6, 6)
    inside = phantom.fixed_landmarks
    nodes = control.geometry.points().reshape(-1, 3)
    spline = ThinPlateSpline.fit(nodes, control.array.reshape(-1, 3))
    np.testing.assert_allclose(inside + spline.at(inside), registration.transform.map_points(inside), atol=0.01)
