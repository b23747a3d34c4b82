"""The Jacobian determinant against SimpleITK, numpy.gradient and maps whose stretch is known."""

import DeepRegLib.evidence.jacobian as module
import numpy as np
import pytest
import SimpleITK as sitk
from DeepRegLib.evidence.jacobian import jacobian_determinant, jacobian_statistics
from DeepRegLib.evidence.region_grid import region_on
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.linear import LinearTransform

OBLIQUE = np.array([[0.0, 0.6, 0.8], [-1, 0, 0], [0, -0.8, 0.6]])
LEFT_HANDED = OBLIQUE @ np.diag([1, -1, 1])


def field_of(geometry, displacement):
    return DisplacementField(displacement(geometry.points()).astype(np.float32), geometry)


def smooth_noise(geometry, amplitude=2.0):
    noise = np.random.default_rng(5).normal(size=(*geometry.shape, 3))
    image = sitk.SmoothingRecursiveGaussian(DisplacementField(noise, Geometry(geometry.size)).to_sitk(), 2.0)
    smooth = sitk.GetArrayFromImage(image)
    return DisplacementField((amplitude * smooth / smooth.std()).astype(np.float32), geometry)


def test_the_interior_agrees_with_simpleitk():
    field = smooth_noise(Geometry((21, 18, 15), (0.8, 1.3, 2.5), (3, 4, 5)))
    theirs = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(field.to_sitk()))
    ours = jacobian_determinant(field)
    inside = (slice(1, -1),) * 3
    assert np.abs(ours[inside] - theirs[inside]).max() < 1e-4
    assert theirs[inside].min() < 0.5 < 1.5 < theirs[inside].max()  # the comparison sees something


@pytest.mark.parametrize("axes", [np.eye(3), OBLIQUE, LEFT_HANDED])
def test_an_affine_map_stretches_everywhere_by_its_determinant(axes):
    geometry = Geometry((6, 7, 8), (0.7, 1.1, 2.5), (10, -20, 30), tuple(axes.ravel()))
    matrix = np.array([[1.2, 0.1, -0.2], [0.05, 0.9, 0.1], [0.3, -0.1, 1.1]])
    found = jacobian_determinant(LinearTransform(matrix, np.array([35.0, 0, -9])).to_field(geometry))
    assert np.allclose(found, np.linalg.det(matrix), atol=1e-4)


def test_a_curved_map_on_an_oblique_anisotropic_grid_has_its_analytic_stretch():
    geometry = Geometry((15, 16, 17), (0.7, 1.1, 2.5), (10, -20, 30), tuple(LEFT_HANDED.ravel()))
    centre = geometry.centre
    quadratic = np.random.default_rng(6).normal(size=(3, 3, 3)) * 5e-3  # u_a = q_abc x_b x_c
    field = field_of(geometry, lambda p: np.einsum("abc,zyxb,zyxc->zyxa", quadratic, p - centre, p - centre))
    x = geometry.points() - centre
    gradient = np.einsum("abc,zyxb->zyxac", quadratic + quadratic.transpose(0, 2, 1), x)
    expected = np.linalg.det(np.eye(3) + gradient)
    inside = (slice(1, -1),) * 3  # central differences of a parabola are exact
    assert np.abs(jacobian_determinant(field)[inside] - expected[inside]).max() < 1e-4
    assert expected.std() > 0.05


def test_the_border_uses_one_sided_differences_and_slabs_leave_no_seam(monkeypatch):
    monkeypatch.setattr(module, "VOXELS_PER_SLAB", 7 * 6 * 2)
    field = smooth_noise(Geometry((7, 6, 9), (1.0, 2.0, 3.0)))
    gradient = np.stack(np.gradient(field.array.astype(float), 3.0, 2.0, 1.0, axis=(0, 1, 2))[::-1], -1)
    expected = np.linalg.det(np.eye(3) + gradient)
    assert np.abs(jacobian_determinant(field) - expected).max() < 1e-4


def test_a_single_slice_stretches_only_in_its_plane():
    geometry = Geometry((8, 9, 1))
    field = field_of(geometry, lambda p: p * (0.5, 0.2, 0.0))
    assert np.allclose(jacobian_determinant(field), 1.5 * 1.2, atol=1e-5)


def folding_half():
    """det = -0.5 for x > 9.5 and 1.5 for x < 9.5, but for the two voxels beside the crease."""
    geometry = Geometry((20, 4, 4))
    u = field_of(geometry, lambda p: np.where(p[..., :1] > 9.5, -1.5, 0.5) * (p[..., :1] - 9.5) * np.array([1, 0, 0]))
    return geometry, u


def test_folding_is_the_share_of_the_region_that_turns_inside_out():
    geometry, field = folding_half()
    x = np.broadcast_to(np.arange(20), geometry.shape)
    assert jacobian_statistics(field, Volume(x < 8, geometry)).folding_percent == 0
    assert jacobian_statistics(field, Volume(x > 11, geometry)).folding_percent == 100
    some = jacobian_statistics(field, Volume((x >= 5) & (x < 15) & (x != 9) & (x != 10), geometry))
    assert some.folding_percent == pytest.approx(50)
    assert (some.min, some.max) == (pytest.approx(-0.5), pytest.approx(1.5))


def test_space_that_is_flattened_counts_as_folded():
    flattened = field_of(Geometry((6, 5, 4)), lambda p: -p)
    assert jacobian_statistics(flattened).as_dict() == {
        "folding_percent": 100,
        "min": 0,
        "p1": 0,
        "p99": 0,
        "max": 0,
        "sd_log": 0,
    }


def test_statistics_agree_with_numpy_in_the_region():
    field = smooth_noise(Geometry((21, 18, 15), (1.5, 1.3, 2.5)))
    region = np.random.default_rng(7).random(field.geometry.shape) > 0.4
    found = jacobian_statistics(field, Volume(region, field.geometry)).as_dict()
    inside = jacobian_determinant(field)[region]
    assert found["p1"] == pytest.approx(np.percentile(inside, 1), rel=1e-5)
    assert found["p99"] == pytest.approx(np.percentile(inside, 99), rel=1e-5)
    assert found["sd_log"] == pytest.approx(np.log(inside[inside > 0]).std(), rel=1e-5)
    assert found["folding_percent"] == pytest.approx(100 * np.mean(inside <= 0))


def test_the_region_may_lie_on_another_grid():
    geometry, field = folding_half()
    coarse = Geometry((10, 2, 2), (2.0, 2.0, 2.0), (0.5, 0.5, 0.5))
    left = np.broadcast_to(np.arange(10) < 4, coarse.shape)
    assert region_on(Volume(left, coarse), geometry).sum() == 8 * 4 * 4
    assert jacobian_statistics(field, Volume(left, coarse)).folding_percent == 0


def test_an_empty_region_means_everywhere():
    geometry, field = folding_half()
    nothing = Volume(np.zeros(geometry.shape, bool), geometry)
    assert jacobian_statistics(field, nothing) == jacobian_statistics(field)
