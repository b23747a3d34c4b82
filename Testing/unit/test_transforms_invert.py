"""The inverse of displacement fields against analytic inverses and SimpleITK."""

import numpy as np
import pytest
import SimpleITK as sitk
from DeepRegLib.errors import BadInput
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.transforms.bspline import BSplineDisplacement
from DeepRegLib.transforms.compose import compose
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.invert import invert
from DeepRegLib.transforms.linear import LinearTransform
from scipy.spatial.transform import Rotation
from test_transforms_sampling import oblique_axes

REQUIRED_MM = 0.05
BODY = Geometry((56, 44, 40), (7.0, 7.0, 8.0), (-190.0, -150.0, -1000.0))


def breathing(geometry: Geometry, depth_mm: float) -> DisplacementField:
    """A diaphragm that moves by ``depth_mm`` along z, dying away over the chest, with waves across."""
    p = geometry.points() - BODY.centre
    z = depth_mm / (1 + np.exp(p[..., 2] / 22)) * np.exp(-((p[..., 0] / 150) ** 2) - (p[..., 1] / 120) ** 2)
    across = 8 * np.sin(p[..., [1, 0]] / 30)
    return DisplacementField(np.concatenate([across, z[..., None]], -1).astype(np.float32), geometry)


def residual_by_sitk(field: DisplacementField, inverse: DisplacementField, region: np.ndarray) -> float:
    """Largest |T(y + v(y)) - y| over the region, T as SimpleITK applies it."""
    transform = field.to_sitk_transform()
    y = inverse.geometry.points()[region]
    x = y + inverse.array[region]
    sample = np.random.default_rng(0).permutation(len(x))[:3000]
    return max(np.linalg.norm(np.array(transform.TransformPoint(x[i].tolist())) - y[i]) for i in sample)


def mapped_inside(field: DisplacementField, inverse: DisplacementField) -> np.ndarray:
    """Points whose x lies within the grid of the field: beyond it SimpleITK has another convention than ours."""
    return field.geometry.contains(inverse.geometry.points() + inverse.array)


@pytest.mark.parametrize("depth_mm", [20.0, 70.0])
def test_a_deep_breath_is_inverted_where_the_plain_fixed_point_diverges(depth_mm):
    field = breathing(BODY, depth_mm)
    slope = np.abs(np.gradient(field.array[..., 2], BODY.spacing[2], axis=0)).max()
    assert depth_mm < 50 or slope > 0.75
    result = invert(field)
    region = mapped_inside(field, result.field)
    assert region.mean() > 0.8
    assert residual_by_sitk(field, result.field, region) < REQUIRED_MM
    assert result.unconverged == 0
    assert result.residual_mm <= 0.01


def test_a_lung_scan_moved_by_80_mm_onto_another_oblique_grid_is_inverted():
    rng = np.random.default_rng(4)
    control = Geometry((6, 6, 6), (100.0, 90.0, 90.0), (-240.0, -220.0, -1060.0))
    field = BSplineDisplacement(rng.normal(size=(6, 6, 6, 3)) * 18, control).to_field(BODY)
    field = DisplacementField(field.array + np.float32([40, -30, 60]), BODY)
    assert np.linalg.norm(field.array, axis=-1).max() > 80
    moving = Geometry((50, 40, 30), (5.0, 6.0, 7.0), tuple(BODY.centre + np.array([90, 100, 120])), oblique_axes())
    result = invert(field, moving)
    region = mapped_inside(field, result.field)
    assert region.sum() > 3000
    assert residual_by_sitk(field, result.field, region) < REQUIRED_MM


def test_an_affine_field_gives_the_inverse_affine():
    affine = LinearTransform(np.eye(3) + np.random.default_rng(1).normal(size=(3, 3)) * 0.1, [20.0, -10.0, 5.0])
    inner = Geometry((10, 10, 10), (12.0, 10.0, 10.0), tuple(BODY.centre - 50))
    result = invert(affine.to_field(BODY), inner)
    assert np.abs(result.field.array - affine.inverse().to_field(inner).array).max() < 0.02


def test_a_half_turn_is_inverted_from_its_linear_part():
    turn = LinearTransform(Rotation.from_euler("z", 170, degrees=True).as_matrix(), [0.0, 0.0, 15.0])
    waves = breathing(BODY, 25.0)
    field = compose(turn, waves)
    inner = Geometry((14, 12, 10), (14.0, 12.0, 15.0), tuple(turn.map_points(BODY.centre) - [90, 60, 70]))
    result = invert(field, inner, start=turn)
    assert residual_by_sitk(field, result.field, np.ones(inner.shape, bool)) < REQUIRED_MM


def test_forward_and_back_is_the_identity_within_a_tenth_of_a_voxel():
    field = breathing(BODY, 40.0)
    there_and_back = compose(field, invert(field).field)
    assert np.abs(there_and_back.array).max() < 0.1 * min(BODY.spacing)


def test_it_agrees_with_the_inversion_of_sitk_on_a_gentle_field():
    field = breathing(BODY, 10.0)
    theirs = sitk.InvertDisplacementField(field.to_sitk(), maximumNumberOfIterations=50, enforceBoundaryCondition=False)
    ours = invert(field).field.array
    core = (slice(6, -6),) * 3
    # Its fixed point stops at a mean error of 0.1 mm-odd: a check of sense and size, the residual is checked above.
    assert np.abs(ours - sitk.GetArrayFromImage(theirs))[core].max() < 0.3


def test_folding_is_reported_and_stays_local():
    field = breathing(BODY, 20.0)
    folded = field.array.copy()
    folded[20, 20:24, 20:30, 0] += 40 * np.array([1, -1] * 5)
    result = invert(DisplacementField(folded, BODY))
    assert result.residual_mm > REQUIRED_MM
    assert 0 < result.unconverged < 0.02
    far_away = np.zeros(BODY.shape, bool)
    far_away[30:] = True
    assert invert(DisplacementField(folded, BODY), region=far_away).residual_mm <= 0.01


def test_a_single_slice_is_inverted_in_its_plane():
    flat = Geometry((40, 40, 1), (3.0, 3.0, 5.0))
    p = flat.points()
    array = np.zeros((1, 40, 40, 3), np.float32)
    array[..., 0] = 10 * np.sin(p[..., 0] / 20) * np.cos(p[..., 1] / 25)
    field = DisplacementField(array, flat)
    result = invert(field)
    assert np.abs(compose(field, result.field).array).max() < REQUIRED_MM
    assert (result.field.array[..., 2] == 0).all()


def test_a_region_of_another_shape_is_refused():
    with pytest.raises(BadInput, match="shape"):
        invert(breathing(BODY, 5.0), region=np.ones((2, 2, 2), bool))
