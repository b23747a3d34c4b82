"""Local correlation against a direct computation window by window, and in cases where the answer is known."""

import numpy as np
import pytest
import SimpleITK as sitk
from DeepRegLib.errors import BadInput
from DeepRegLib.evidence.similarity import local_correlation, similarity
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.linear import LinearTransform

GRID = Geometry((24, 22, 20), (3.0, 3.0, 3.0), (10, 20, 30))


def texture(geometry, seed=0):
    """A scan-like texture with structures of about 10 mm, in arbitrary units."""
    noise = sitk.GetImageFromArray(np.random.default_rng(seed).normal(size=geometry.shape))
    array = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(noise, 4.0 / geometry.spacing[0]))
    return Volume((array / array.std() * 200 - 300).astype(np.float32), geometry)


def window_by_window(fixed, other, sigma_voxels):
    """Weighted squared correlations in Gaussian windows, each computed on its own with numpy.average."""
    clipped = [np.clip(a, *np.percentile(a, (0.5, 99.5))).astype(float) for a in (fixed, other)]
    places = np.indices(fixed.shape)
    total = votes = 0.0
    for centre in np.ndindex(fixed.shape):
        distance = sum((places[a] - centre[a]) ** 2 for a in range(3))
        weights = np.exp(-0.5 * distance / sigma_voxels**2)
        f, o = (c - np.average(c, weights=weights) for c in clipped)
        vf, vo = np.average(f * f, weights=weights), np.average(o * o, weights=weights)
        share = vf / np.ptp(clipped[0]) ** 2
        vote = weights.sum() * share / (share + 0.02**2)
        total += vote * np.average(f * o, weights=weights) ** 2 / (vf * vo)
        votes += vote
    return total / votes


def test_it_agrees_with_a_direct_computation_window_by_window():
    geometry = Geometry((9, 8, 7), (3.0, 3.0, 3.0))
    fixed, other = texture(geometry, 0), texture(geometry, 1)
    mixed = Volume(0.7 * fixed.array + other.array, geometry)
    expected = window_by_window(fixed.array, mixed.array, 5 / 3)
    assert 0.15 < expected < 0.85
    assert local_correlation(fixed, mixed) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("change", [lambda a: a, lambda a: 0.2 * a + 77, lambda a: -3 * a])
def test_brightness_gain_and_reversed_contrast_do_not_matter(change):
    fixed = texture(GRID)
    assert local_correlation(fixed, Volume(change(fixed.array), GRID)) == pytest.approx(1, abs=1e-3)


def test_unrelated_and_constant_images_explain_little_or_nothing():
    fixed = texture(GRID)
    assert local_correlation(fixed, texture(GRID, 1)) < 0.3
    assert local_correlation(fixed, Volume(np.full(GRID.shape, -1000, np.int16), GRID)) == 0
    assert local_correlation(Volume(np.zeros(GRID.shape), GRID), fixed) == 0


def test_it_falls_steadily_the_further_the_images_are_apart():
    fixed = texture(GRID)
    found = [local_correlation(fixed, Volume(np.roll(fixed.array, shift, 2), GRID)) for shift in (0, 1, 2, 3)]
    assert found == sorted(found, reverse=True) and found[0] > found[3] + 0.5


def test_only_the_region_counts():
    fixed = texture(GRID)
    half = fixed.array.copy()
    half[:, :, 12:] = texture(GRID, 1).array[:, :, 12:]
    left = np.zeros(GRID.shape, bool)
    left[:, :, :12] = True
    left[0, 0, 20] = True  # its box holds the other half too
    assert local_correlation(fixed, Volume(half, GRID), Volume(left, GRID)) > 0.99
    assert local_correlation(fixed, Volume(half, GRID), Volume(~left, GRID)) < 0.3


def test_before_and_after_pull_the_moving_image_through_their_maps():
    axes = np.array([[0.0, 0.6, 0.8], [-1, 0, 0], [0, -0.8, 0.6]])
    fine = Geometry((48, 44, 40), (1.5, 1.5, 1.5), (10, 20, 30), tuple(axes.ravel()))
    fixed = texture(fine)
    # The same voxels, 40 mm away and turned: T(x) = R (x - c) + c + t brings fixed points there.
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    linear = LinearTransform(turn, fine.centre - turn @ fine.centre + (40, -10, 5))
    there = Geometry(
        fine.size, fine.spacing, tuple(linear.map_points(np.array(fine.origin))), tuple((turn @ axes).ravel())
    )
    moving = Volume(fixed.array, there)
    field = linear.to_field(fine.with_spacing((6.0, 6.0, 6.0)))
    found = similarity(fixed, moving, LinearTransform(), field)
    assert found.before < 0.3
    assert found.after > 0.9
    assert similarity(fixed, moving, linear, DisplacementField.zero(fine)).before > 0.9


def test_what_the_moving_image_does_not_show_is_not_explained():
    fixed = texture(GRID)
    part = Volume(fixed.array[:, :, :12], Geometry((12, 22, 20), GRID.spacing, GRID.origin))
    found = similarity(fixed, part, LinearTransform(), DisplacementField.zero(GRID)).before
    assert 0.35 < found < 0.7


def test_images_on_different_grids_are_refused():
    with pytest.raises(BadInput, match="different grids"):
        local_correlation(texture(GRID), texture(Geometry(GRID.size, GRID.spacing)))


def test_a_single_slice_can_be_compared():
    flat = Geometry((40, 40, 1), (2.0, 2.0, 1.0))
    array = np.random.default_rng(0).normal(size=flat.shape).astype(np.float32)
    assert local_correlation(Volume(array, flat), Volume(2 * array, flat)) == pytest.approx(1, abs=1e-3)
