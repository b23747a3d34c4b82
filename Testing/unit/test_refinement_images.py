"""Images as the solver sees them: resampled, sampled, normalised; against SimpleITK, scipy and formulas."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.refinement import image_source, problem
from DeepRegLib.refinement.features import RegionNormalisation, gradient, local_normalisation
from DeepRegLib.refinement.frame_grid import ANTI_ALIASING, FrameGrid
from DeepRegLib.refinement.frame_sampling import sample_frame
from DeepRegLib.refinement.image_source import ImageSource
from DeepRegLib.refinement.intensity import lung_intensity, shows_lungs, tissue_intensity, values_inside
from registration_cases import problem_of
from scipy import ndimage

CPU = torch.device("cpu")
AMPLITUDE_HU = 300.0


@pytest.fixture(autouse=True)
def same_threads_afterwards() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def smooth_scan(oblique_geometry: Geometry) -> Volume:
    """Waves of 30 to 50 mm on the oblique, anisotropic, left-handed grid, 40 x 36 x 24 voxels, int16."""
    geometry = Geometry((40, 36, 24), (0.9, 1.1, 2.5), oblique_geometry.origin, oblique_geometry.direction)
    x, y, z = np.moveaxis(geometry.points(), -1, 0)
    waves = np.sin(x / 6) * np.cos(y / 5) + np.sin(z / 8 + x / 7)
    return Volume(np.rint(AMPLITUDE_HU * waves - 500).astype(np.int16), geometry)


def as_they_are(values: torch.Tensor) -> torch.Tensor:
    return values


def in_space(grid: FrameGrid, frame: Geometry) -> Geometry:
    origin = np.array(frame.origin) + frame.axes @ np.array(grid.origin)
    return Geometry(grid.size, grid.spacing, tuple(origin), frame.direction)


def resampled_by_sitk(volume: Volume, grid: FrameGrid) -> np.ndarray:
    """Smoothed along the axes in which the grid is coarser, then interpolated linearly."""
    sigma = [
        ANTI_ALIASING * coarse if coarse > fine else 0.0
        for coarse, fine in zip(grid.spacing, volume.geometry.spacing, strict=True)
    ]
    image = sitk.Cast(volume.to_sitk(), sitk.sitkFloat32)
    for axis, width in enumerate(sigma):
        if width:
            image = sitk.RecursiveGaussian(image, width, direction=axis)
    target = in_space(grid, volume.geometry)
    reference = target.apply_to(sitk.Image(target.size, sitk.sitkFloat32))
    return sitk.GetArrayFromImage(sitk.Resample(image, reference, sitk.Transform(), sitk.sitkLinear))


@pytest.mark.parametrize(("spacing", "tolerance"), [((0.8, 0.7, 2.0), 0.05), ((3.0, 3.0, 3.0), 6.0)])
def test_an_oblique_image_is_resampled_as_by_sitk(smooth_scan: Volume, spacing: tuple, tolerance: float) -> None:
    grid = FrameGrid((6.1, 7.3, 8.9), spacing, (7, 8, 9))
    ours = ImageSource(smooth_scan, as_they_are).on(grid, CPU).numpy()
    truth = resampled_by_sitk(smooth_scan, grid)
    assert truth.std() > 50
    assert np.abs(ours - truth).max() < tolerance  # the kernels are cut at different widths


@pytest.mark.parametrize("voxels", [1, 3000, 10_000])
def test_slabs_give_what_the_whole_gives(smooth_scan: Volume, voxels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    source = ImageSource(smooth_scan, lung_intensity)
    grid = source.grid.covering(2.0)
    whole = source.on(grid, CPU)
    monkeypatch.setattr(image_source, "VOXELS_PER_SLAB", voxels)
    assert torch.allclose(source.on(grid, CPU), whole, atol=1e-3)


@pytest.mark.parametrize("spacing", [0.7, 2.0, 6.0])
def test_a_part_of_a_grid_gets_the_values_that_the_whole_grid_gets(smooth_scan: Volume, spacing: float) -> None:
    source = ImageSource(smooth_scan, as_they_are)
    grid = source.grid.covering(spacing)
    low, count = np.array(grid.size) // 3, np.maximum(np.array(grid.size) // 3, 1)
    part = FrameGrid(tuple(np.array(grid.origin) + low * spacing), grid.spacing, tuple(count))
    (i, j, k), (ni, nj, nk) = low, count
    inside = source.on(grid, CPU)[k : k + nk, j : j + nj, i : i + ni]
    assert torch.allclose(source.on(part, CPU), inside, atol=0.05)


def test_beyond_the_image_lie_its_border_values(smooth_scan: Volume) -> None:
    source = ImageSource(smooth_scan, as_they_are)
    far = FrameGrid((-40.0, -40.0, -40.0), (0.9, 1.1, 2.5), (2, 2, 2))
    assert (source.on(far, CPU) == float(smooth_scan.array[0, 0, 0])).all()


def test_the_intensity_is_mapped_before_anything_is_averaged() -> None:
    # Half bone, half air: clipped first, the mean is (200 - 1000) / 2; averaged first it would be 0 and stay 0.
    voxels = np.where(np.arange(32) % 2, 1000, -1000).astype(np.int16) * np.ones((16, 16, 1), np.int16)
    source = ImageSource(Volume(voxels, Geometry((32, 16, 16))), lung_intensity)
    middle = source.on(FrameGrid((10.0, 5.0, 5.0), (6.0, 1.0, 1.0), (2, 2, 2)), CPU)
    assert middle.numpy() == pytest.approx(np.full((2, 2, 2), -400.0), abs=1.0)


def test_a_very_large_scan_is_averaged_once_and_stays_in_its_place(
    smooth_scan: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    everywhere = Volume(np.ones(smooth_scan.array.shape, bool), smooth_scan.geometry)
    grid = FrameGrid((9.0, 9.0, 12.0), (5.0, 5.0, 5.0), (4, 4, 7))
    plain = problem_of(smooth_scan, smooth_scan, everywhere).fixed_source.on(grid, CPU)
    monkeypatch.setattr(problem, "MOST_VOXELS_AS_THEY_ARE", 1000)
    monkeypatch.setattr(problem, "REDUCED_MM", 1.9)
    reduced = problem_of(smooth_scan, smooth_scan, everywhere)
    assert problem.reduced(smooth_scan).geometry.voxel_count < smooth_scan.geometry.voxel_count / 3
    assert reduced.fixed_grid == FrameGrid.of(smooth_scan.geometry)
    for source in (reduced.fixed_source, reduced.moving_source):
        difference = source.on(grid, CPU) - plain
        # A scan that lay half a voxel beside would differ by 30 HU and more.
        assert difference.abs().mean() < 8


def test_a_scan_of_thin_slices_is_compared_as_soft_as_one_of_thick_slices() -> None:
    """The profile of a slice of t mm is a Gaussian whose full width at half maximum is t; variances add up."""
    rng = np.random.default_rng(4)
    thin = Volume(rng.normal(-500, 50, (40, 20, 24)).astype(np.int16), Geometry((24, 20, 40), (2.0, 2.0, 1.0)))
    thick_geometry = Geometry((24, 40, 8), (2.0, 1.0, 5.0), direction=(1, 0, 0, 0, 0, 1, 0, -1, 0))
    thick = Volume(np.zeros(thick_geometry.shape, np.int16), thick_geometry)
    problem = problem_of(thin, thick, Volume(np.ones(thin.array.shape, bool), thin.geometry))
    ours = problem.fixed_source.on(problem.fixed_grid, CPU).numpy()
    # The thick slices lie along the fixed y axis; along z the fixed voxels are as small as the moving ones.
    deviation_mm = np.sqrt(5.0**2 - 2.0**2) / (2 * np.sqrt(2 * np.log(2)))
    expected = ndimage.gaussian_filter1d(thin.array.astype(float), deviation_mm / 2.0, axis=1, truncate=3.5)
    inner = (slice(None), slice(8, -8))
    assert np.abs(ours - expected)[inner].max() < 1
    assert np.abs(thin.array - expected)[inner].std() > 10


def test_scans_of_equal_voxels_are_compared_as_they_are(smooth_scan: Volume) -> None:
    everywhere = Volume(np.ones(smooth_scan.array.shape, bool), smooth_scan.geometry)
    problem = problem_of(smooth_scan, smooth_scan, everywhere)
    for source in (problem.fixed_source, problem.moving_source):
        assert source.blur == pytest.approx((0.0, 0.0, 0.0), abs=1e-6)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("depth", [1, 4, 5])
def test_sampling_is_that_of_scipy_for_any_number_of_threads(threads: int, depth: int) -> None:
    rng = np.random.default_rng(depth)
    grid = FrameGrid((2.0, -1.0, 3.0), (0.8, 1.2, 2.0), (9, 8, 7))
    values = rng.normal(size=(2, *grid.shape)).astype(np.float32)
    points = rng.uniform(-6, 20, (3, depth, 6, 5)).astype(np.float32)
    torch.set_num_threads(threads)
    ours = sample_frame(torch.from_numpy(values), grid, torch.from_numpy(points)).numpy()
    steps = ((np.moveaxis(points, 0, -1) - grid.origin) / grid.spacing)[..., ::-1]
    for channel, truth in zip(ours, values, strict=True):
        expected = ndimage.map_coordinates(truth.astype(float), np.moveaxis(steps, -1, 0), order=1, mode="nearest")
        assert np.abs(channel - expected).max() < 2e-5


def test_a_single_slice_can_be_sampled() -> None:
    grid = FrameGrid((0.0, 0.0, 0.0), (1.0, 1.0, 5.0), (4, 3, 1))
    values = torch.arange(12.0).view(1, 1, 3, 4)
    points = torch.tensor([[1.5], [1.0], [0.0]]).view(3, 1, 1, 1)
    assert float(sample_frame(values, grid, points)) == pytest.approx(5.5)


TEXTURE = FrameGrid((0.0, 0.0, 0.0), (2.0, 2.0, 2.0), (24, 22, 20))


def test_normalised_values_do_not_change_with_gain_and_offset() -> None:
    image = torch.from_numpy(np.random.default_rng(0).normal(size=TEXTURE.shape)).float() * 100
    plain = local_normalisation(image, TEXTURE, 6.0, floor=1e-3)
    assert torch.allclose(local_normalisation(3 * image - 700, TEXTURE, 6.0, floor=1e-3), plain, atol=2e-3)


def test_a_wave_is_normalised_to_its_standard_deviation() -> None:
    # A sin(kx) has no mean and a standard deviation of A / sqrt(2) in a window that is wide against the wave.
    line = FrameGrid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (200, 1, 1))
    wave = torch.sin(line.axis(0, CPU) * 2 * np.pi / 10)
    amplitude, floor = 250.0, 60.0
    normalised = local_normalisation((amplitude * wave - 600).view(1, 1, -1), line, 12.0, floor)[0, 0, 50:150]
    expected = amplitude * wave / (amplitude / np.sqrt(2) + floor)
    assert torch.allclose(normalised, expected[50:150], atol=2e-3)


def test_the_floor_keeps_noise_in_flat_areas_small() -> None:
    noise = torch.from_numpy(np.random.default_rng(1).normal(size=TEXTURE.shape)).float()
    assert local_normalisation(noise, TEXTURE, 6.0, floor=60.0).abs().max() < 0.1


def test_values_normalised_within_a_region_are_those_of_scipy() -> None:
    rng = np.random.default_rng(2)
    image = rng.normal(-800, 80, TEXTURE.shape)
    region = ndimage.gaussian_filter(rng.normal(size=TEXTURE.shape), 3) > 0
    window, floor = 3.0, 60.0

    def average(values: np.ndarray) -> np.ndarray:
        def blurred(array: np.ndarray) -> np.ndarray:
            return ndimage.gaussian_filter(array, window / TEXTURE.spacing[0], mode="constant", truncate=3.5)

        return blurred(values) / np.maximum(blurred(region.astype(float)), 1e-9)

    mean = average(image * region)
    deviation = np.sqrt(average(region * (image - mean) ** 2))
    ours = RegionNormalisation(torch.from_numpy(region).float(), TEXTURE, window, floor)
    difference = ours(torch.from_numpy(image).float()).numpy() - region * (image - mean) / (deviation + floor)
    assert np.abs(difference)[region].max() < 0.06  # the averages are interpolated between places a window apart
    assert np.abs(difference)[region].mean() < 0.01
    assert np.abs(difference)[~region].max() == 0


def test_what_lies_beside_a_region_does_not_change_what_is_normalised_within_it() -> None:
    rng = np.random.default_rng(3)
    lung = torch.from_numpy(rng.normal(-850, 40, TEXTURE.shape)).float()
    region = torch.zeros(TEXTURE.shape)
    region[:, :, :12] = 1
    with_wall = torch.where(region > 0, lung, torch.tensor(60.0))
    normalise = RegionNormalisation(region, TEXTURE, 3.0, 60.0)
    assert torch.allclose(normalise(with_wall), normalise(lung), atol=1e-4)
    beside = (slice(None), slice(None), slice(9, 12))
    overall = [local_normalisation(image, TEXTURE, 3.0, 60.0)[beside] for image in (with_wall, lung)]
    assert (overall[0] - overall[1]).abs().mean() > 0.5
    assert normalise(with_wall)[beside].std() > 2 * overall[0][beside[0], beside[1], 2:].std()


def test_the_gradient_of_a_quadratic_is_exact_and_its_components_are_x_y_z() -> None:
    grid = FrameGrid((1.0, 2.0, 3.0), (0.5, 1.5, 2.0), (9, 8, 7))
    x, y, z = grid.points(CPU).double()
    image = x * x + 2 * x * y + 3 * z + 0.5 * y * y
    truth = torch.stack([2 * x + 2 * y, 2 * x + y, torch.full_like(z, 3.0)])
    inner = (slice(None), *(slice(1, -1),) * 3)
    ours = gradient(image.float(), grid.spacing)
    assert torch.allclose(ours[inner].double(), truth[inner], atol=1e-3)
    assert (ours[0, :, :, 0] == 0).all() and (ours[1, :, -1] == 0).all() and (ours[2, 0] == 0).all()


def test_the_gradient_of_a_single_slice_is_zero_across_it() -> None:
    ours = gradient(torch.rand(1, 6, 6), (1.0, 1.0, 1.0))
    assert (ours[2] == 0).all()
    assert ours[0].abs().max() > 0


def test_units_of_mr_are_arbitrary() -> None:
    values = np.random.default_rng(0).gamma(2.0, 100.0, 5000).astype(np.float32)
    mapped = tissue_intensity(values)(torch.from_numpy(values))
    other_units = (values * 0.01 + 7).astype(np.float32)
    assert torch.allclose(tissue_intensity(other_units)(torch.from_numpy(other_units)), mapped, atol=0.5)
    low, high = np.percentile(values, [0.5, 98.0]).astype(np.float32)
    assert tissue_intensity(values)(torch.tensor([low, high])).tolist() == pytest.approx([-1000.0, -100.0], abs=0.01)


def test_values_inside_a_mask_on_coarser_voxels_come_from_the_same_places() -> None:
    geometry = Geometry((40, 40, 40), (1.0, 1.0, 1.0), (10.0, 20.0, 30.0))
    voxels = np.full(geometry.shape, 40, np.int16)
    voxels[10:30, 10:30, 10:30] = -800
    coarse = geometry.with_spacing((4.0, 4.0, 4.0))
    inside = (np.abs(coarse.points() - geometry.centre) < 8).all(-1)
    values = values_inside(Volume(voxels, geometry), Volume(inside, coarse))
    assert set(values.tolist()) == {-800.0}
    assert shows_lungs(values)
    assert not shows_lungs(np.full(10, 40.0))
    assert not shows_lungs(np.array([]))
