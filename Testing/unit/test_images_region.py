"""Where the match counts: analytic chests and heads, then real scans against masks made by others."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from DeepRegLib.errors import BadMask
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.read import read_volume
from DeepRegLib.images.region import Region, find_region
from DeepRegLib.images.volume import Volume

LEFT_HANDED_TILT = (1.0, 0.0, 0.0, 0.0, 0.96, 0.28, 0.0, 0.28, -0.96)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def ellipsoid(points: np.ndarray, centre: tuple, half_axes: tuple) -> np.ndarray:
    return sum(((points[..., k] - centre[k]) / half_axes[k]) ** 2 for k in range(3)) < 1


@cache
def chest(geometry: Geometry, padding: float | None = None) -> tuple[Volume, np.ndarray, np.ndarray]:
    """A body with two lungs full of vessels, a windpipe, stomach gas and a table: the scan, its lungs, its body.
    The middle is the centre of the grid; +x is the patient's left, +y the back, +z the head."""
    p = (geometry.points() - geometry.centre).astype(np.float32)
    hu = np.full(geometry.shape, -1000.0, np.float32)
    body = ellipsoid(p, (0, 0, 0), (150, 100, 400))
    lungs = ellipsoid(p, (-70, 0, 0), (50, 70, 110)) | ellipsoid(p, (70, 0, 0), (45, 70, 105))
    hu[body] = 40.0
    hu[lungs] = -850.0
    vessels = np.hypot(p[..., 0] % 24 - 12, p[..., 1] % 24 - 12) < 4
    hu[vessels & lungs] = 40.0
    hu[(np.hypot(p[..., 0], p[..., 1] - 10) < 9) & (p[..., 2] > 20)] = -1000.0
    hu[ellipsoid(p, (40, -40, -135), (30, 25, 20))] = -1000.0
    hu[(np.abs(p[..., 1] - 108) < 3) & (np.abs(p[..., 0]) < 170)] = 100.0
    hu += np.random.default_rng(0).normal(0.0, 30.0, hu.shape).astype(np.float32)
    if padding is not None:
        hu[np.hypot(p[..., 0], p[..., 1]) > 175] = padding
    return Volume(hu.astype(np.int16), geometry), lungs, body


def centred(size: tuple, spacing: tuple, direction: tuple = (1, 0, 0, 0, 1, 0, 0, 0, 1)) -> Geometry:
    return Geometry(size, spacing, (-100.0, 40.0, 7.0), direction)


@pytest.mark.parametrize(
    ("spacing", "padding"),
    [((2.9, 2.9, 3.1), None), ((2.3, 2.3, 5.0), -3024.0), ((4.0, 4.0, 4.0), None), ((4.0, 4.0, 4.0), -2000.0)],
)
def test_two_analytic_lungs_are_found(spacing: tuple, padding: float | None) -> None:
    size = tuple(round(extent / s) for extent, s in zip((370, 250, 300), spacing, strict=True))
    scan, lungs, _ = chest(centred(size, spacing), padding=padding)
    region = find_region(scan)
    assert region.kind == "lungs"
    assert dice(region.on(scan.geometry) >= 0.5, lungs) > 0.96
    assert region.volume_ml == pytest.approx(lungs.sum() * scan.geometry.voxel_volume_mm3 / 1000, rel=0.08)


def test_windpipe_stomach_gas_and_table_are_no_lung() -> None:
    scan, lungs, _ = chest(centred((106, 72, 86), (3.5, 3.5, 3.5)))
    extra = (find_region(scan).on(scan.geometry) >= 0.5) & ~lungs
    p = scan.geometry.points() - scan.geometry.centre
    windpipe = (np.hypot(p[..., 0], p[..., 1] - 10) < 9) & (p[..., 2] > 40)
    assert windpipe.sum() > 500 and extra[windpipe].mean() < 0.05
    assert not extra[ellipsoid(p, (40, -40, -135), (30, 25, 20))].any()
    assert not extra[~ellipsoid(p, (0, 0, 0), (150, 100, 400))].any()


@pytest.mark.parametrize("box", [(slice(30, None), slice(None), slice(None)), (slice(0, 53), slice(None), slice(None))])
def test_lungs_that_the_scan_cuts_off_are_found(box: tuple) -> None:
    scan, lungs, _ = chest(centred((106, 72, 86), (3.5, 3.5, 3.5)))
    scan, lungs = cropped(scan, box), lungs[box]
    assert dice(find_region(scan).on(scan.geometry) >= 0.5, lungs) > 0.95


def test_a_lung_that_touches_the_side_of_a_crop_is_found() -> None:
    scan, lungs, _ = chest(centred((106, 72, 86), (3.5, 3.5, 3.5)))
    box = (slice(None), slice(None), slice(0, 42))
    scan, lungs = cropped(scan, box), lungs[box]
    assert lungs[:, :, -1].sum() > 200
    assert dice(find_region(scan).on(scan.geometry) >= 0.5, lungs) > 0.95


@pytest.mark.parametrize("direction", [LEFT_HANDED_TILT, (0, 0, 1, 1, 0, 0, 0, 1, 0)])
def test_the_orientation_of_the_grid_does_not_matter(direction: tuple) -> None:
    # The second has slices from left to right, so that the long axis of the body is not z of the array.
    size = (106, 72, 86) if direction is LEFT_HANDED_TILT else (72, 86, 106)
    scan, lungs, _ = chest(centred(size, (3.5, 3.5, 3.5), direction))
    region = find_region(scan)
    assert region.kind == "lungs"
    assert dice(region.on(scan.geometry) >= 0.5, lungs) > 0.95


def test_a_ct_without_lungs_gives_the_body_without_table_and_with_its_gas() -> None:
    geometry = Geometry((120, 84, 40), (3.0, 3.0, 3.0), (-180.0, -125.0, -290.0))
    p = geometry.points()
    hu = np.full(geometry.shape, -1000.0)
    body = ellipsoid(p, (0, 0, -230), (150, 100, 400))
    hu[body] = 40.0
    hu[ellipsoid(p, (40, -40, -230), (30, 25, 30))] = -1000.0
    hu[np.abs(p[..., 1] - 106) < 3] = 100.0
    hu += np.random.default_rng(0).normal(0, 30, hu.shape)
    region = find_region(Volume(hu.astype(np.int16), geometry))
    assert region.kind == "body"
    assert dice(region.on(geometry) >= 0.5, body) > 0.98


@pytest.mark.parametrize(("background", "tissue"), [(0.0, 800.0), (1000.0, 300.0), (-5.0, 1.5)])
def test_a_head_is_found_whatever_its_contrast(background: float, tissue: float) -> None:
    geometry = Geometry((90, 100, 80), (2.0, 2.0, 2.0), (-90.0, -100.0, -80.0))
    p = geometry.points()
    head = ellipsoid(p, (0, 0, 0), (70, 85, 65))
    voxels = np.where(head, tissue, background)
    voxels[ellipsoid(p, (0, 0, 0), (15, 25, 15))] = background
    voxels += np.random.default_rng(0).normal(0, 0.05 * abs(tissue - background), voxels.shape)
    region = find_region(Volume(voxels.astype(np.float32), geometry))
    assert region.kind == "head"
    assert dice(region.on(geometry) >= 0.5, head) > 0.97


def test_an_image_without_background_counts_as_a_whole() -> None:
    voxels = np.random.default_rng(0).normal(100.0, 20.0, (40, 40, 40)).astype(np.float32)
    region = find_region(Volume(voxels, Geometry((40, 40, 40), (3.0, 3.0, 3.0))))
    assert region.kind == "body"
    assert (region.on(Geometry((40, 40, 40), (3.0, 3.0, 3.0))) == 1.0).all()


def test_a_single_slice_has_a_region() -> None:
    geometry = Geometry((64, 64, 1), (2.0, 2.0, 1.0))
    y, x = np.indices((64, 64))
    disc = (np.hypot(y - 31.5, x - 31.5) < 20)[None]
    region = find_region(Volume(np.where(disc, 500, 0).astype(np.int16), geometry))
    assert dice(region.on(geometry) >= 0.5, disc) > 0.95


def test_a_given_mask_is_exact_on_its_own_grid(oblique_geometry: Geometry) -> None:
    labels = np.random.default_rng(0).integers(0, 3, oblique_geometry.shape).astype(np.uint8)
    region = Region.given(Volume(labels, oblique_geometry))
    assert region.kind == "given"
    np.testing.assert_array_equal(region.on(oblique_geometry), (labels > 0).astype(np.float32))
    assert region.volume_ml == pytest.approx((labels > 0).sum() * 0.9 * 1.1 * 2.5 / 1000)


def test_an_empty_given_mask_is_refused() -> None:
    with pytest.raises(BadMask, match="empty"):
        Region.given(Volume(np.zeros((4, 4, 4), np.uint8), Geometry((4, 4, 4))))


def test_a_coarse_grid_gets_the_share_of_each_voxel_that_is_inside() -> None:
    mask = np.random.default_rng(0).random((16, 16, 16)) > 0.5
    fine = Geometry((16, 16, 16))
    coarse = fine.with_spacing((2.0, 2.0, 2.0))
    expected = mask.reshape(8, 2, 8, 2, 8, 2).mean((1, 3, 5))
    np.testing.assert_allclose(Region.given(Volume(mask, fine)).on(coarse), expected, atol=1e-6)


def test_the_region_is_zero_beyond_its_grid() -> None:
    region = Region.given(Volume(np.ones((4, 4, 4), bool), Geometry((4, 4, 4))))
    share = region.on(Geometry((8, 4, 4)))
    assert (share[:, :, :4] == 1).all() and (share[:, :, 5:] == 0).all()


def test_the_box_holds_the_edges_of_the_voxels_and_a_margin_within_the_grid() -> None:
    mask = np.zeros((10, 20, 30), bool)
    mask[2:5, 6:9, 10:29] = True
    region = Region.given(Volume(mask, Geometry((30, 20, 10), (1.0, 2.0, 3.0), (100.0, 100.0, 100.0))))
    lower, upper = region.box(4.0)
    np.testing.assert_allclose(lower, [9.5 - 4, 11 - 4, 4.5 - 4])
    np.testing.assert_allclose(upper, [29.5, 17 + 4, 13.5 + 4])


def cropped(volume: Volume, box: tuple[slice, ...]) -> Volume:
    array = np.ascontiguousarray(volume.array[box])
    start = [part.start or 0 for part in box][::-1]
    g = volume.geometry
    return Volume(array, Geometry(array.shape[::-1], g.spacing, tuple(g.to_physical(start)), g.direction))


REAL_MASKS = [
    *((f"breathing/{name}/fixed.nii.gz", f"breathing/{name}/fixed_mask.nii.gz")
      for name in ("aorta_a", "lidc_a", "lung4d_a", "rightlung_a", "thorax4d_a")),
    *((f"breathing_hard/{name}/fixed.nii.gz", f"breathing_hard/{name}/fixed_mask.nii.gz")
      for name in ("nsclc_hard", "platipy_hard", "rightlung_hard")),
    ("lung_followup/fixed.mha", "lung_followup/fixed_mask.mha"),
    ("lung_followup/moving.mha", "lung_followup/moving_mask.mha"),
]  # fmt: skip


@pytest.mark.data
@pytest.mark.parametrize(("scan", "mask"), REAL_MASKS, ids=[scan.split("/")[1] for scan, _ in REAL_MASKS])
def test_lungs_of_real_scans_agree_with_their_masks(data_folder: Path, scan: str, mask: str) -> None:
    volume, truth = read_volume(data_folder / scan), read_volume(data_folder / mask).array > 0
    slices = len(truth)
    for part in (slice(None), slice(round(0.35 * slices), None), slice(0, round(0.65 * slices))):
        piece = cropped(volume, (part, slice(None), slice(None)))
        region = find_region(piece)
        assert region.kind == "lungs"
        assert dice(region.on(piece.geometry) >= 0.5, truth[part]) > 0.95


@pytest.mark.data
@pytest.mark.parametrize("name", ["fixed", "moving"])
def test_a_skull_stripped_brain_is_a_head(data_folder: Path, name: str) -> None:
    volume = read_volume(data_folder / f"brain_pair/{name}.nii.gz")
    region = find_region(volume)
    assert region.kind == "head"
    assert dice(region.on(volume.geometry) >= 0.5, volume.array > 0) > 0.96
