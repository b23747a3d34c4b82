"""Cubic B-spline displacements against gryds, scipy and SimpleITK."""

import gryds
import numpy as np
import pytest
import scipy.ndimage
import SimpleITK as sitk
from DeepRegLib.errors import BadInput
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.transforms.bspline import BSplineDisplacement
from DeepRegLib.transforms.displacement_field import DisplacementField
from test_transforms_sampling import oblique_axes

TOLERANCE_MM = 1e-5
CONTROL = Geometry((5, 4, 6), (20.0, 15.0, 25.0), (-30.0, 10.0, 200.0), oblique_axes())


def samples() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(*CONTROL.shape, 3)) * 5


def points_inside(count: int = 500) -> np.ndarray:
    share = np.random.default_rng(1).uniform(0, 1, (count, 3))
    return CONTROL.to_physical(share * (np.array(CONTROL.size) - 1))


def test_an_interpolating_spline_agrees_with_scipy_inside_and_mirrored_outside():
    share = np.random.default_rng(1).uniform(-0.6, 1.6, (500, 3))
    index = share * (np.array(CONTROL.size) - 1)
    ours = BSplineDisplacement.through(samples(), CONTROL).at(CONTROL.to_physical(index))
    for k in range(3):
        truth = scipy.ndimage.map_coordinates(samples()[..., k], index[:, ::-1].T, order=3, mode="mirror")
        assert np.abs(ours[:, k] - truth).max() < TOLERANCE_MM


def test_it_agrees_with_gryds_on_a_whole_grid():
    # gryds: relative coordinates i / N, control points from 0 to 1, components and coordinates in array order.
    size, count, spacing = 24, 4, 2.0
    relative = np.random.default_rng(2).uniform(-0.05, 0.05, (3, count, count, count))
    grid = np.stack(np.meshgrid(*[np.arange(size) / size] * 3, indexing="ij")).reshape(3, -1)
    truth = (gryds.BSplineTransformation(relative)(grid) - grid).reshape(3, size, size, size) * size * spacing
    control = Geometry((count,) * 3, (size * spacing / (count - 1),) * 3)
    spline = BSplineDisplacement.through(np.moveaxis(relative, 0, -1)[..., ::-1] * size * spacing, control)
    field = spline.to_field(Geometry((size,) * 3, (spacing,) * 3))
    # gryds works in single precision (6e-8 of the extent of 48 mm).
    assert np.abs(field.array - np.moveaxis(truth, 0, -1)[..., ::-1]).max() < TOLERANCE_MM


def test_coefficients_mean_what_they_mean_in_sitk():
    domain = sitk.Image([30, 30, 30], sitk.sitkUInt8)
    domain.SetSpacing((2.0, 2.5, 3.0))
    domain.SetOrigin((-5.0, 7.0, 11.0))
    transform = sitk.BSplineTransformInitializer(domain, (5, 4, 6), 3)
    transform.SetParameters((np.random.default_rng(3).normal(size=len(transform.GetParameters())) * 3).tolist())
    images = transform.GetCoefficientImages()
    coefficients = np.stack([sitk.GetArrayFromImage(image) for image in images], -1)
    spline = BSplineDisplacement(coefficients, Geometry.of(images[0]))
    points = np.random.default_rng(4).uniform([0, 10, 15], [50, 75, 90], (200, 3))
    truth = np.array([transform.TransformPoint(p) for p in points.tolist()]) - points
    assert np.abs(spline.at(points) - truth).max() < TOLERANCE_MM


@pytest.mark.parametrize("direction", [CONTROL.direction, Geometry((1, 1, 1)).direction])
def test_a_lattice_gives_the_same_as_single_points_with_parallel_axes_or_not(direction):
    spline = BSplineDisplacement.through(samples(), CONTROL)
    lattice = Geometry((9, 8, 7), (6.0, 5.0, 14.0), tuple(CONTROL.to_physical([0.3, 0.7, 0.2])), direction)
    index = CONTROL.to_index(lattice.points()).reshape(-1, 3)
    truth = [
        scipy.ndimage.map_coordinates(samples()[..., k], index[:, ::-1].T, order=3, mode="mirror") for k in range(3)
    ]
    field = spline.to_field(lattice)
    assert field.array.dtype == np.float32
    assert np.abs(field.array - np.stack(truth, -1).reshape(*lattice.shape, 3)).max() < TOLERANCE_MM


def test_a_spline_is_recovered_from_its_dense_field_by_least_squares():
    dense = Geometry((41, 31, 51), (2.0, 1.5, 2.5), CONTROL.origin, CONTROL.direction)
    spline = BSplineDisplacement(samples(), CONTROL)
    fitted = BSplineDisplacement.fitted(spline.to_field(dense), CONTROL)
    assert np.abs(fitted.coefficients - spline.coefficients).max() < 1e-3  # the dense field is single precision


def test_least_squares_beats_every_other_spline_nearby():
    dense = Geometry((21, 16, 26), (4.0, 3.0, 5.0), CONTROL.origin, CONTROL.direction)
    rng = np.random.default_rng(5)
    noisy = DisplacementField(rng.normal(size=(*dense.shape, 3)).astype(np.float32), dense)
    fitted = BSplineDisplacement.fitted(noisy, CONTROL)

    def misfit(coefficients):
        return ((BSplineDisplacement(coefficients, CONTROL).to_field(dense).array - noisy.array) ** 2).sum()

    best = misfit(fitted.coefficients)
    for _ in range(5):
        assert misfit(fitted.coefficients + 0.05 * rng.normal(size=fitted.coefficients.shape)) > best


def test_two_control_points_make_a_smoothstep():
    control = Geometry((2, 1, 1), (10.0, 10.0, 10.0))
    spline = BSplineDisplacement.through(np.array([0.0, 8.0]).reshape(1, 1, 2, 1) * np.ones(3), control)
    x = np.linspace(0, 1, 11)
    truth = 8 * (3 * x**2 - 2 * x**3)
    assert spline.at(np.stack([10 * x, 0 * x, 0 * x], -1))[:, 1] == pytest.approx(truth, abs=1e-9)


def test_a_fit_to_a_turned_grid_is_refused():
    with pytest.raises(BadInput, match="parallel"):
        BSplineDisplacement.fitted(DisplacementField.zero(Geometry((4, 4, 4))), CONTROL)
