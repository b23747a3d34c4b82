"""Warping and composing against SimpleITK and analytic maps."""

import numpy as np
import pytest
import SimpleITK as sitk
from DeepRegLib.errors import BadInput
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.transforms.compose import compose, resample_field
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.linear import LinearTransform
from DeepRegLib.transforms.warp import warp_points, warp_volume
from test_transforms_sampling import GREY_VALUE_TOLERANCE, OBLIQUE, ct_like

TOLERANCE_MM = 1e-3
FIXED = Geometry((23, 18, 16), (0.9, 1.2, 2.0), tuple(OBLIQUE.centre - [10, 12, 14]))
COARSE = Geometry((12, 12, 12), (4.0, 4.0, 5.0), tuple(OBLIQUE.centre - [22, 22, 27]))
"""Covers ``FIXED`` and more, so that the border convention of ITK (zero outside) plays no part."""


def wavy_field(geometry: Geometry, amplitude_mm: float = 3.0) -> DisplacementField:
    points = (geometry.points() - OBLIQUE.centre) / 8
    waves = amplitude_mm * np.stack([np.sin(points[..., 1]), np.cos(points[..., 2]), np.sin(points[..., 0])], -1)
    return DisplacementField(waves.astype(np.float32), geometry)


MATRIX = np.eye(3) + np.random.default_rng(0).normal(size=(3, 3)) * 0.05
AFFINE = LinearTransform(MATRIX, OBLIQUE.centre - MATRIX @ OBLIQUE.centre + [1.0, -2.0, 3.0])
"""About the centre of the images, so that they stay on each other."""


def affine_in_sitk() -> sitk.AffineTransform:
    return sitk.AffineTransform(AFFINE.matrix.ravel().tolist(), AFFINE.translation.tolist())


def warped_by_sitk(volume: Volume, transform, geometry: Geometry, interpolator=sitk.sitkLinear, outside=-1024.0):
    image, reference = (
        sitk.Cast(volume.to_sitk(), sitk.sitkFloat64),
        Volume(np.zeros(geometry.shape), geometry).to_sitk(),
    )
    return sitk.GetArrayFromImage(sitk.Resample(image, reference, transform, interpolator, outside))


@pytest.mark.parametrize("geometry", [COARSE, FIXED], ids=["coarse field", "field on the fixed grid"])
def test_a_warped_volume_agrees_with_sitk_on_oblique_grids(geometry):
    moving, field = ct_like(OBLIQUE), wavy_field(geometry)
    floating = Volume(moving.array.astype(np.float32), OBLIQUE)
    truth = warped_by_sitk(moving, field.to_sitk_transform(), FIXED)
    assert 0.05 < (truth == -1024).mean() < 0.9
    assert np.abs(warp_volume(floating, field, FIXED, outside=-1024).array - truth).max() < GREY_VALUE_TOLERANCE
    whole = warp_volume(moving, field, FIXED)
    assert whole.array.dtype == np.int16
    assert np.abs(whole.array - truth).max() <= 0.5 + GREY_VALUE_TOLERANCE


def test_a_field_and_then_a_linear_transform_agree_with_a_composite_of_sitk():
    moving, field = Volume(ct_like(OBLIQUE).array.astype(np.float32), OBLIQUE), wavy_field(COARSE)
    composite = sitk.CompositeTransform([affine_in_sitk(), field.to_sitk_transform()])  # sitk applies the last first
    truth = warped_by_sitk(moving, composite, FIXED)
    assert np.abs(warp_volume(moving, (field, AFFINE), FIXED, outside=-1024).array - truth).max() < GREY_VALUE_TOLERANCE


def test_the_identity_gives_the_image_bit_for_bit():
    for kind in (np.int16, np.float32):
        volume = Volume(ct_like(OBLIQUE).array.astype(kind) / kind(3), OBLIQUE)
        volume = Volume(volume.array.astype(kind), OBLIQUE)
        for identity in (DisplacementField.zero(OBLIQUE), DisplacementField.zero(COARSE), LinearTransform(), ()):
            assert np.array_equal(warp_volume(volume, identity, OBLIQUE).array, volume.array)


def test_a_shift_by_whole_voxels_is_exact():
    volume = ct_like(OBLIQUE)
    shift = OBLIQUE.to_physical([2.0, 1.0, 3.0]) - OBLIQUE.to_physical([0.0, 0.0, 0.0])
    warped = warp_volume(volume, LinearTransform(translation=shift), OBLIQUE, outside=-1000.0).array
    assert np.array_equal(warped[:-3, :-1, :-2], volume.array[3:, 1:, 2:])
    assert (warped[-3:] == -1000).all()


def test_labels_are_carried_by_nearest_as_in_sitk():
    labels = Volume(np.random.default_rng(1).integers(0, 5, OBLIQUE.shape).astype(np.uint8), OBLIQUE)
    warped = warp_volume(labels, wavy_field(COARSE), FIXED, "nearest").array
    truth = warped_by_sitk(labels, wavy_field(COARSE).to_sitk_transform(), FIXED, sitk.sitkNearestNeighbor, 0.0)
    assert warped.dtype == np.uint8
    assert (warped != truth).mean() < 1e-3  # ties


@pytest.mark.parametrize(("lowest", "expected"), [(-3024, -1024), (-1000, -1000), (0, 0)])
def test_outside_is_the_lowest_value_but_no_padding(lowest, expected):
    array = np.full((4, 4, 4), 50, np.int16)
    array[0, 0, 0] = lowest
    far = LinearTransform(translation=[100.0, 0.0, 0.0])
    assert (warp_volume(Volume(array, Geometry((4, 4, 4))), far, Geometry((2, 2, 2))).array == expected).all()


def test_an_outside_value_beyond_the_type_is_clipped_to_it():
    far = LinearTransform(translation=[100.0, 0.0, 0.0])
    volume = Volume(np.full((4, 4, 4), 50, np.uint8), Geometry((4, 4, 4)))
    assert (warp_volume(volume, far, Geometry((2, 2, 2)), outside=-1024).array == 0).all()


def test_fixed_landmarks_go_forward_and_the_warped_image_shows_there_what_the_moving_one_shows_at_t():
    # A bright blob at T(x) in the moving image must appear at x in the fixed frame, not at the inverse.
    landmark = FIXED.to_physical([11.0, 9.0, 8.0])
    target = warp_points(landmark, AFFINE)
    assert target == pytest.approx(affine_in_sitk().TransformPoint(landmark.tolist()), abs=1e-9)
    grid = Geometry((40, 40, 40), (1.0, 1.0, 1.0), tuple(target - 19.5))
    blob = np.exp(-((grid.points() - target) ** 2).sum(-1) / 8).astype(np.float32)
    warped = warp_volume(Volume(blob, grid), AFFINE, FIXED).array.astype(float)
    centroid = (FIXED.points() * warped[..., None]).sum((0, 1, 2)) / warped.sum()
    assert np.linalg.norm(centroid - landmark) < 0.05
    assert np.linalg.norm(target - landmark) > 3


def test_swapping_the_images_changes_the_sign_of_a_translation():
    shift = LinearTransform(translation=[3.0, -1.0, 2.0])
    assert shift.inverse().to_field(FIXED).array == pytest.approx(-shift.to_field(FIXED).array)


@pytest.mark.parametrize("outer", [AFFINE, wavy_field(COARSE)], ids=["linear", "field"])
@pytest.mark.parametrize("inner", [AFFINE.inverse(), wavy_field(FIXED, 2.0)], ids=["linear", "field"])
def test_composition_agrees_with_sitk_where_both_are_defined(outer, inner):
    geometry = Geometry((9, 8, 7), (1.5, 1.5, 2.5), tuple(FIXED.centre - 6))
    composite = sitk.CompositeTransform(3)
    for transform in (outer, inner):
        composite.AddTransform(
            transform.to_sitk_transform()
            if isinstance(transform, DisplacementField)
            else sitk.AffineTransform(transform.matrix.ravel().tolist(), transform.translation.tolist())
        )
    truth = sitk.TransformToDisplacementField(
        composite, sitk.sitkVectorFloat64, geometry.size, geometry.origin, geometry.spacing, geometry.direction
    )
    ours = compose(outer, inner, geometry)
    assert np.abs(ours.array - sitk.GetArrayFromImage(truth)).max() < TOLERANCE_MM


def test_composition_is_not_the_sum():
    field = wavy_field(COARSE)
    composed = compose(field, field)
    points = COARSE.points()
    truth = field.map_points(field.map_points(points)) - points
    assert np.abs(composed.array - truth).max() < TOLERANCE_MM
    assert np.abs(composed.array - 2 * field.array).max() > 0.5


def test_a_composed_field_lies_on_the_inner_grid_unless_told_otherwise():
    assert compose(wavy_field(COARSE), wavy_field(FIXED)).geometry == FIXED
    assert compose(wavy_field(COARSE), AFFINE).geometry == COARSE
    with pytest.raises(BadInput, match="no grid"):
        compose(AFFINE, AFFINE)


def test_resampling_a_field_keeps_millimetres():
    ramp = LinearTransform(np.diag([1.1, 0.9, 1.2]), [1, 2, 3]).to_field(FIXED)
    finer = Geometry((44, 34, 30), (0.45, 0.6, 1.0), FIXED.origin)
    truth = LinearTransform(np.diag([1.1, 0.9, 1.2]), [1, 2, 3]).to_field(finer)
    assert np.abs(resample_field(ramp, finer).array - truth.array).max() < TOLERANCE_MM
