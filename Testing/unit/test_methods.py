"""Methods: a new file is a new method, good proposals win, bad ones lose, and a pair shows itself on any grid."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import DeepRegLib.methods as folder
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from DeepRegLib import registration as registration_module
from DeepRegLib.errors import BadInput, Cancelled
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.region import Region
from DeepRegLib.images.volume import Volume
from DeepRegLib.methods import interface
from DeepRegLib.methods.interface import Method, available_methods, method_named, register_method
from DeepRegLib.methods.pair import Pair
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.linear import LinearTransform
from registration_cases import (
    CENTRE,
    OBLIQUE_LEFT_HANDED,
    analytic_pair,
    analytic_registration,
    bending,
    grid_around,
    turned,
)
from scipy.spatial.transform import Rotation

FAR_AWAY_MM = np.array([25.0, -20.0, 15.0])
"""Further than the solver alone finds its way in a texture of 9 to 35 mm."""


def axes_turned(order: str, *degrees: float) -> np.ndarray:
    return Rotation.from_euler(order, degrees, degrees=True).as_matrix()


COARSE_OBLIQUE = grid_around((22, 20, 18), (5.0, 6.0, 7.0), axes_turned("zx", 30, 20))

Propose = Callable[[Pair], Sequence[DisplacementField]]


@pytest.fixture
def add_method() -> Iterator[Callable[[str, Propose], None]]:
    """Registers methods for one test."""
    available_methods()  # those of the files register themselves once, when they are first asked for
    before = dict(interface._METHODS)

    def add(name: str, propose: Propose) -> None:
        register_method(Method(name, "Made for a test.", lambda pair, progress, cancelled: propose(pair)))

    yield add
    interface._METHODS.clear()
    interface._METHODS.update(before)


def far_truth(points: np.ndarray) -> np.ndarray:
    return bending(3.0)(points) + FAR_AWAY_MM


def true_field(pair: Pair) -> DisplacementField:
    """d of T(x) = A(x + d(x)) on coarse oblique voxels."""
    points = COARSE_OBLIQUE.points()
    target = pair.prealignment.inverse().map_points(far_truth(points))
    return DisplacementField((target - points).astype(np.float32), COARSE_OBLIQUE)


@pytest.fixture
def without_prealignment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the far pair as it lies, as if nothing could be aligned."""
    monkeypatch.setattr(registration_module, "prealigned", lambda problem, settings: problem)


def far_pair_errors(method: str) -> tuple[float, dict]:
    pair = analytic_pair()
    moved = turned(pair.moving.geometry, np.eye(3), CENTRE, FAR_AWAY_MM)
    registration = analytic_registration(moving=Volume(pair.moving.array, moved), method=method)
    points = pair.points_inside()
    errors = np.linalg.norm(registration.transform.map_points(points) - far_truth(points), axis=1)
    return float(errors.mean()), registration.evidence["start"]


def test_a_new_file_is_a_new_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, add_method: Callable[[str, Propose], None]
) -> None:
    (tmp_path / "method_of_a_test.py").write_text(
        "from DeepRegLib.methods.interface import Method, register_method\n"
        "register_method(Method('of-a-test', 'Proposes nothing.', lambda pair, progress, cancelled: ()))\n"
    )
    monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(tmp_path)])
    assert "of-a-test" not in interface._METHODS
    assert available_methods()["of-a-test"].description == "Proposes nothing."
    assert analytic_registration(method="of-a-test").evidence["method"] == "of-a-test"
    monkeypatch.delitem(sys.modules, "DeepRegLib.methods.method_of_a_test")


def test_methods_are_listed_by_name_with_a_line_for_people() -> None:
    methods = available_methods()
    assert list(methods) == sorted(methods)
    assert methods["lucas-kanade"].model is None
    assert all(name == method.name and method.description.endswith(".") for name, method in methods.items())


def test_an_unknown_method_is_answered_with_all_there_are() -> None:
    with pytest.raises(BadInput, match=r"no method 'magic'.*auto.*lucas-kanade"):
        method_named("magic")


def test_a_good_proposal_on_a_coarse_oblique_grid_is_where_the_solver_starts(
    add_method: Callable[[str, Propose], None], without_prealignment: None
) -> None:
    add_method("oracle", lambda pair: (true_field(pair),))
    alone, _ = far_pair_errors("lucas-kanade")
    error, start = far_pair_errors("oracle")
    assert start["chosen"] == "oracle"
    assert [candidate["name"] for candidate in start["candidates"]][:2] == ["zero", "oracle"]
    assert start["candidates"][1]["similarity"] > start["candidates"][0]["similarity"]
    assert error < 0.6
    assert error < alone / 10


def test_a_bad_proposal_loses_to_none(add_method: Callable[[str, Propose], None]) -> None:
    rng = np.random.default_rng(0)
    nonsense = DisplacementField(rng.normal(0, 25, (*COARSE_OBLIQUE.shape, 3)).astype(np.float32), COARSE_OBLIQUE)
    add_method("nonsense", lambda pair: (nonsense,))
    registration = analytic_registration(method="nonsense")
    start = registration.evidence["start"]
    assert start["chosen"] == "zero"
    assert "nonsense" in [candidate["name"] for candidate in start["candidates"]]
    assert np.array_equal(registration.transform.array, analytic_registration().transform.array)


def test_of_several_proposals_each_is_named_and_the_best_is_taken(
    add_method: Callable[[str, Propose], None], without_prealignment: None
) -> None:
    def propose(pair: Pair) -> Sequence[DisplacementField]:
        good = true_field(pair)
        return DisplacementField(-good.array, good.geometry), good

    add_method("two", propose)
    error, start = far_pair_errors("two")
    assert [candidate["name"] for candidate in start["candidates"]][:3] == ["zero", "two 1", "two 2"]
    assert start["chosen"] == "two 2"
    assert error < 0.6


def test_a_method_may_be_cancelled_and_report(monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(interface._METHODS)
    seen: list[float] = []

    def propose(pair: Pair, progress: Callable, cancelled: Callable) -> Sequence[DisplacementField]:
        assert not cancelled()
        progress(0.5, "Half of it")
        raise Cancelled("Stopped.")

    monkeypatch.setattr(interface, "_METHODS", {**before, "slow": Method("slow", "Slow.", propose)})
    with pytest.raises(Cancelled):
        analytic_registration(method="slow", progress=lambda fraction, stage: seen.append(fraction))
    assert seen == sorted(seen)


def test_a_method_gets_the_seed_the_device_and_the_region(add_method: Callable[[str, Propose], None]) -> None:
    pairs: list[Pair] = []

    def propose(pair: Pair) -> Sequence[DisplacementField]:
        pairs.append(pair)
        return ()

    add_method("curious", propose)
    analytic_registration(method="curious", seed=11)
    assert pairs[0].seed == 11
    assert pairs[0].device == torch.device("cpu")
    assert pairs[0].region.kind == "given"
    assert np.abs(pairs[0].prealignment.matrix - np.eye(3)).max() < 0.2


LINEAR = LinearTransform(axes_turned("xyz", 5, -8, 10) * 1.02, np.array([10.0, 20.0, -15.0]))


@pytest.fixture(scope="module")
def smooth_pair() -> Pair:
    """Waves of 50 mm and more on two oblique grids, so that interpolation hardly matters."""

    def scan(geometry: Geometry) -> Volume:
        x, y, z = np.moveaxis(geometry.points() - CENTRE, -1, 0)
        return Volume((300 * (np.sin(x / 9) * np.cos(y / 8) + np.sin(z / 10))).astype(np.float32), geometry)

    fixed = scan(grid_around((50, 44, 30), (1.5, 1.7, 2.5), OBLIQUE_LEFT_HANDED))
    there = LINEAR.map_points(CENTRE)
    moving = scan(grid_around((60, 60, 60), (2.0, 1.8, 1.6), axes_turned("y", 25), there))
    inside = np.linalg.norm(fixed.geometry.points() - CENTRE - [3, 0, -2], axis=-1) < 18
    return Pair(fixed, moving, Region.given(Volume(inside, fixed.geometry)), LINEAR, torch.device("cpu"))


TARGET = grid_around((14, 12, 10), (2.6, 2.8, 3.0), axes_turned("xz", 40, -35))
DEFORMATION_GRID = grid_around((16, 16, 16), (5.0, 5.0, 5.0), axes_turned("y", 50))
SMOOTHED_HU = 20.0
"""Of an amplitude of 600: what averaging to the coarser voxels takes away from waves of 50 mm."""


def by_sitk(volume: Volume, transform: sitk.Transform) -> np.ndarray:
    reference = TARGET.apply_to(sitk.Image(TARGET.size, sitk.sitkFloat32))
    return sitk.GetArrayFromImage(sitk.Resample(volume.to_sitk(), reference, transform, sitk.sitkLinear))


def linear_of_sitk() -> sitk.AffineTransform:
    return sitk.AffineTransform(LINEAR.matrix.ravel().tolist(), LINEAR.translation.tolist())


def test_the_fixed_image_on_any_grid_is_that_of_sitk(smooth_pair: Pair) -> None:
    ours = smooth_pair.fixed_on(TARGET)
    truth = by_sitk(smooth_pair.fixed, sitk.Transform())
    assert ours.shape == (1, 1, *TARGET.shape)
    assert ours.dtype == torch.float32
    assert truth.std() > 150
    assert np.abs(ours[0, 0].numpy() - truth).max() < SMOOTHED_HU


def test_the_moving_image_is_pulled_through_the_prealignment(smooth_pair: Pair) -> None:
    truth = by_sitk(smooth_pair.moving, linear_of_sitk())
    assert truth.std() > 100
    assert np.abs(smooth_pair.moving_on(TARGET)[0, 0].numpy() - truth).max() < SMOOTHED_HU


def test_a_deformation_comes_before_the_prealignment(smooth_pair: Pair) -> None:
    points = DEFORMATION_GRID.points()
    deformation = DisplacementField((bending(6.0)(points) - points).astype(np.float32), DEFORMATION_GRID)
    composite = sitk.CompositeTransform([linear_of_sitk(), deformation.to_sitk_transform()])  # the last comes first
    truth = by_sitk(smooth_pair.moving, composite)
    ours = smooth_pair.moving_on(TARGET, deformation)[0, 0].numpy()
    assert np.abs(ours - truth).max() < SMOOTHED_HU
    assert np.abs(smooth_pair.moving_on(TARGET)[0, 0].numpy() - truth).max() > 5 * SMOOTHED_HU
    where = points[6:10, 6:10, 6:10]
    image = sitk.Cast(smooth_pair.moving.to_sitk(), sitk.sitkFloat64)
    exact = [image.EvaluateAtPhysicalPoint(composite.TransformPoint(p), sitk.sitkLinear) for p in where.reshape(-1, 3)]
    assert smooth_pair.moving_at(where, deformation).ravel() == pytest.approx(np.array(exact), abs=0.05)


def test_values_at_points_are_those_of_sitk(smooth_pair: Pair) -> None:
    points = TARGET.points()[::3, ::3, ::3]
    image = smooth_pair.fixed.to_sitk()
    exact = [image.EvaluateAtPhysicalPoint(point, sitk.sitkLinear) for point in points.reshape(-1, 3).tolist()]
    assert smooth_pair.fixed_at(points).shape == points.shape[:-1]
    assert smooth_pair.fixed_at(points).ravel() == pytest.approx(np.array(exact), abs=0.05)


def test_the_region_on_another_grid_keeps_its_volume_and_place(smooth_pair: Pair) -> None:
    grid = smooth_pair.working_grid((24, 24, 24))
    share = smooth_pair.region_on(grid)[0, 0].numpy()
    assert share.min() >= 0 and share.max() <= 1
    assert share.sum() * grid.voxel_volume_mm3 == pytest.approx(4 / 3 * np.pi * 18**3, rel=0.05)
    middle = (grid.points() * share[..., None]).sum((0, 1, 2)) / share.sum()
    assert np.linalg.norm(middle - CENTRE - [3, 0, -2]) < 0.3


def turns() -> Iterator[np.ndarray]:
    """All sorts of voxel axes, every second one left-handed."""
    for number, rotation in enumerate(Rotation.random(60, random_state=0).as_matrix()):
        yield rotation @ np.diag([1.0, 1.0, -1.0]) if number % 2 else rotation


def test_a_working_grid_covers_the_region_with_exactly_the_voxels_asked_for_and_is_right_handed() -> None:
    for axes in turns():
        fixed = grid_around((40, 36, 32), (1.5, 1.8, 2.2), axes)
        inside = np.linalg.norm((fixed.points() - CENTRE) / [20, 15, 22], axis=-1) < 1
        volume = Volume(np.zeros(fixed.shape, np.int16), fixed)
        pair = Pair(volume, volume, Region.given(Volume(inside, fixed)), LinearTransform(), torch.device("cpu"))
        grid = pair.working_grid((20, 24, 28), margin_mm=4.0)
        assert grid.size == (20, 24, 28)
        assert np.linalg.det(grid.axes) == pytest.approx(1.0)
        assert grid.contains(fixed.points()[inside]).all()
        # Every voxel axis of the grid is one of the image, whichever way round.
        assert np.sort(np.abs(grid.axes.T @ fixed.axes), axis=1) == pytest.approx(np.tile([0.0, 0.0, 1.0], (3, 1)))


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 1, 0)])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, 1), (1, -1, -1)])
def test_a_working_grid_stands_upright_however_the_voxels_are_stored(order: tuple, signs: tuple) -> None:
    tilted = axes_turned("xyz", 12, -9, 7)
    fixed = grid_around((40, 36, 32), (1.5, 1.8, 2.2), tilted[:, order] * signs)
    volume = Volume(np.zeros(fixed.shape, np.int16), fixed)
    inside = np.linalg.norm(fixed.points() - CENTRE, axis=-1) < 15
    pair = Pair(volume, volume, Region.given(Volume(inside, fixed)), LinearTransform(), torch.device("cpu"))
    assert pair.working_grid((16, 16, 16)).axes == pytest.approx(tilted)
