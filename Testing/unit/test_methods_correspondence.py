"""The method around the correspondence network: grids, millimetres, refusals, progress."""

from __future__ import annotations

import subprocess
import sys
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
from DeepRegLib.methods import correspondence_pass, network_pass
from DeepRegLib.methods.correspondence import ARCHITECTURE, KIND, PREPROCESSING
from DeepRegLib.methods.correspondence_pass import fitting_grid, grown, half_precision, inside
from DeepRegLib.methods.interface import available_methods, method_named
from DeepRegLib.methods.pair import Pair
from DeepRegLib.models.card import Architecture, ModelInput
from DeepRegLib.models.save import save_model
from DeepRegLib.networks.correspondence import CorrespondenceNetwork
from DeepRegLib.networks.unet import UNet
from DeepRegLib.phantom import make_phantom
from DeepRegLib.registration import register
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.linear import LinearTransform
from model_cases import UNET_CARD, only_folder_of_models, turned_and_shifted

CPU = torch.device("cpu")
SMALL = {"channels": [4, 8, 8], "decoders": [8, 8, 8], "depths": [1, 1, 1], "compared": 8}
CARD = replace(
    UNET_CARD,
    name="fake-correspondence",
    architecture=Architecture(ARCHITECTURE, SMALL),
    method=KIND,
    input=ModelInput(None, (3.0, 3.0, 3.0), "HU", PREPROCESSING),
)
SHIFT_VOXELS = (1.5, -2.0, 3.25)
SAME_ERROR_MM = 0.02


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return only_folder_of_models(tmp_path, monkeypatch)


@pytest.fixture
def pair(oblique_geometry: Geometry) -> Pair:
    """Noise on tilted grids, a region in the middle, and a pre-alignment that turns and shifts."""
    geometry = replace(oblique_geometry, size=(90, 80, 40))
    prealignment = turned_and_shifted(geometry)
    mask = np.zeros(geometry.shape, np.uint8)
    mask[12:28, 20:60, 25:65] = 1
    values = np.random.default_rng(0).normal(-700, 200, (2, *geometry.shape)).astype(np.float32)
    fixed, moving = (Volume(array, geometry) for array in values)
    return Pair(fixed, moving, Region.given(Volume(mask, geometry)), prealignment, CPU)


def silent(bias: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> CorrespondenceNetwork:
    """Sees nothing; its 12 mm level says ``bias`` in voxels."""
    network = CorrespondenceNetwork(**SMALL)
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
        network.match12.regression.bias.copy_(torch.tensor(bias) / 4)
    return network


def propose(pair: Pair, name: str = CARD.name) -> DisplacementField:
    (field,) = method_named(name).propose(pair, lambda fraction, words: None, lambda: False)
    return field


def millimetres(geometry: Geometry, voxels: tuple[float, float, float]) -> np.ndarray:
    """A vector in voxels to LPS mm as SimpleITK moves an index."""
    image = geometry.apply_to(sitk.Image(geometry.size, sitk.sitkUInt8))
    origin = np.array(image.TransformContinuousIndexToPhysicalPoint((0.0, 0.0, 0.0)))
    return np.array(image.TransformContinuousIndexToPhysicalPoint(voxels)) - origin


def test_a_constant_in_voxels_is_a_constant_in_millimetres_on_a_tilted_grid(models, pair):
    save_model(models, CARD, silent(SHIFT_VOXELS))
    field = propose(pair)
    expected = millimetres(field.geometry, SHIFT_VOXELS)
    assert np.abs(expected).max() > 3.0
    # bfloat16, where the processor has it, keeps three digits.
    np.testing.assert_allclose(
        field.array.reshape(-1, 3), np.broadcast_to(expected, (field.array.size // 3, 3)), atol=0.1
    )


def test_the_grid_has_voxels_of_the_card_around_the_region_in_anatomical_axes(models, pair):
    grid = fitting_grid(pair, 3.0, 4)
    assert grid.spacing == (3.0, 3.0, 3.0) and not any(n % 4 for n in grid.size)
    assert (np.diag(grid.axes) > 0.9).all()
    lower, upper = pair.region.box(correspondence_pass.REGION_MARGIN_MM)
    mask = pair.region.mask.geometry
    corners = np.array(np.meshgrid(*zip(lower, upper, strict=True))).reshape(3, -1).T @ mask.axes.T + mask.origin
    index = grid.to_index(corners)
    assert (index > -0.5 - 1e-6).all() and (index < np.array(grid.size) - 0.5 + 1e-6).all()
    assert (np.array(grid.size) * 3 < upper - lower + 12.0 + 1e-6).all()


def test_a_grown_grid_holds_the_same_voxels_and_more_on_every_side(oblique_geometry):
    larger = grown(oblique_geometry, 3)
    assert larger.size == tuple(n + 6 for n in oblique_geometry.size)
    np.testing.assert_allclose(larger.points()[3:-3, 3:-3, 3:-3], oblique_geometry.points(), atol=1e-9)


def test_a_voxel_is_valid_where_its_mapped_centre_lies_in_the_image(pair):
    grid = grown(fitting_grid(pair, 3.0, 4), 8)
    expected = pair.moving.geometry.contains(pair.prealignment.map_points(grid.points()))
    found = inside(pair.moving.geometry, grid, pair.prealignment, CPU)[0, 0].numpy() > 0
    assert 0.1 < expected.mean() < 0.9
    np.testing.assert_array_equal(found, expected)


def test_a_moving_image_that_was_shifted_is_brought_back(models, pair, oblique_geometry):
    """Untrained weights and sharp costs: what the levels see and where they see it fits together."""
    torch.manual_seed(2)
    wide = {**SMALL, "channels": [8, 32, 64], "compared": 32}
    network = CorrespondenceNetwork(**wide)
    with torch.no_grad():
        for matcher in (network.match12, network.match6, network.match3):
            matcher.sharpness.fill_(4.0)
    save_model(models, replace(CARD, architecture=Architecture(ARCHITECTURE, wide)), network)
    geometry = replace(
        oblique_geometry, size=(90, 80, 48), spacing=(3.0, 3.0, 3.0), direction=Geometry((1, 1, 1)).direction
    )
    image = np.random.default_rng(1).normal(-600, 250, geometry.shape).astype(np.float32)
    mask = np.zeros(geometry.shape, np.uint8)
    mask[16:32, 24:56, 24:60] = 1
    wanted = np.array([12.0, 0.0, -12.0])
    moving = Volume(image, replace(geometry, origin=tuple(np.array(geometry.origin) + wanted)))
    region = Region.given(Volume(mask, geometry))
    field = propose(Pair(Volume(image, geometry), moving, region, LinearTransform(), CPU))
    within = region.on(field.geometry) > 0.5
    error = np.linalg.norm(field.array[within] - wanted, axis=1).mean()
    assert error < 0.5 * np.linalg.norm(wanted)


def test_the_same_pair_gives_the_same_bits(models, pair):
    torch.manual_seed(4)
    save_model(models, CARD, CorrespondenceNetwork(**SMALL))
    first = propose(pair).array
    assert first.std() > 0
    np.testing.assert_array_equal(propose(pair).array, first)


@pytest.mark.parametrize(
    ("sentence", "changes"),
    [
        ("network 'unet'", {"architecture": UNET_CARD.architecture}),
        ("intensity window", {"input": replace(CARD.input, preprocessing="intensity window")}),
        ("'T1'", {"input": replace(CARD.input, units="T1")}),
        ("fixed number of voxels", {"input": replace(CARD.input, size=(64, 64, 64))}),
        ("cubic voxels", {"input": replace(CARD.input, spacing_mm=(3.0, 3.0, 2.5))}),
        ("'mm'", {"output_units": "mm"}),
    ],
)
def test_a_card_that_the_method_cannot_follow_is_refused_before_the_work(models, sentence, changes):
    card = replace(CARD, **changes)
    network = UNet(2, 2) if card.architecture.name == "unet" else CorrespondenceNetwork(**SMALL)
    save_model(models, card, network)
    with pytest.raises(ModelProblem, match=sentence):
        method_named(CARD.name).check(CPU)


def test_changed_weights_are_refused_before_the_work(models):
    model = save_model(models, CARD, CorrespondenceNetwork(**SMALL))
    method_named(CARD.name).check(CPU)
    model.weights.write_bytes(model.weights.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelProblem, match="checksum"):
        method_named(CARD.name).check(CPU)


def test_too_little_memory_is_said_before_the_network_runs(models, pair, monkeypatch):
    save_model(models, CARD, silent())
    monkeypatch.setattr(network_pass, "available_memory_bytes", lambda: 100_000)
    with pytest.raises(OutOfMemory, match=r"fake-correspondence.*of memory"):
        propose(pair)


def test_progress_rises_to_one_and_a_wish_to_stop_is_heard_between_the_levels(models, pair):
    save_model(models, CARD, silent())
    told: list[float] = []
    method = method_named(CARD.name)
    method.propose(pair, lambda fraction, words: told.append(fraction), lambda: False)
    assert told == sorted(told) and told[0] == 0.0 and told[-1] == pytest.approx(1.0) and len(told) >= 7
    for patience in range(len(told)):
        answers = iter([False] * patience + [True])
        with pytest.raises(Cancelled):
            method.propose(pair, lambda fraction, words: None, answers.__next__)


def test_the_kind_is_listed_without_torch_and_without_a_model():
    assert KIND in available_methods()
    code = (
        "import sys; from DeepRegLib.methods.interface import available_methods; "
        "assert 'lung-ct' in available_methods(); assert 'torch' not in sys.modules"  # shipped: takes the kind's place
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(ModelProblem, match="none is installed"):
        method_named(KIND).check(CPU)


def test_half_precision_is_used_only_where_the_processor_has_it(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False, raising=False)
    with half_precision(CPU):
        assert not torch.is_autocast_enabled("cpu")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    with half_precision(CPU):
        assert torch.is_autocast_enabled("cpu")


def test_a_network_that_is_wrong_does_no_harm_to_a_registration(models):
    """The better of two starts is kept, and the evidence names both."""
    phantom = make_phantom((64, 48, 48), seed=1)
    save_model(models, CARD, silent((2.0, -2.0, 2.0)))
    errors = {}
    for method in ("lucas-kanade", CARD.name):
        registration = register(phantom.fixed, phantom.moving, method=method, quality="balanced", threads=1)
        mapped = registration.transform.map_points(phantom.fixed_landmarks)
        errors[method] = np.linalg.norm(mapped - phantom.moving_landmarks, axis=1).mean()
    start = registration.evidence["start"]
    assert [candidate["name"] for candidate in start["candidates"]][:2] == ["zero", CARD.name]
    assert errors[CARD.name] <= errors["lucas-kanade"] + SAME_ERROR_MM
