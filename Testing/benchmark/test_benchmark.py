"""The judge is judged: variants, conversions of the peers' results, ratios. No tool is run here."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from DeepRegLib.evidence.landmarks import Landmarks, read_landmarks, write_landmarks
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.transforms.displacement_field import DisplacementField

from . import preparation, tables_and_plots, variants
from .measure import mean_dice, measure
from .pairs import ImagePair, choose, discover
from .run import choose_runs

OBLIQUE = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
GRID = Geometry((12, 10, 20), (2.0, 2.0, 3.0), (5.0, -7.0, 11.0), OBLIQUE)
UPSIDE_DOWN = Geometry((12, 10, 20), (2.0, 2.0, 3.0), (5.0, -7.0, 68.0), (1, 0, 0, 0, -1, 0, 0, 0, -1))


def image_on(grid: Geometry) -> sitk.Image:
    rng = np.random.default_rng(0)
    return grid.apply_to(sitk.GetImageFromArray(rng.integers(-1000, 300, grid.shape).astype(np.int16)))


def pair_in(folder: Path, grid: Geometry) -> ImagePair:
    folder.mkdir(parents=True)
    for name in ("fixed.nii", "moving.nii"):
        sitk.WriteImage(image_on(grid), str(folder / name))
    mask = np.zeros(grid.shape, np.uint8)
    mask[5:15, 3:7, 3:9] = 1
    sitk.WriteImage(grid.apply_to(sitk.GetImageFromArray(mask)), str(folder / "fixed_mask.nii"))
    points = Landmarks(grid.to_physical(np.array([[6, 5, k] for k in range(1, 19)])))
    for name in ("fixed_landmarks.csv", "moving_landmarks.csv"):
        write_landmarks(folder / name, points)
    return discover(folder.parent.parent)[folder.name]


@pytest.fixture(params=[GRID, UPSIDE_DOWN], ids=["feet first", "head first"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> ImagePair:
    return pair_in(tmp_path / "data" / "breathing" / "made_up", request.param)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def test_a_pair_survives_the_way_to_another_process(pair: ImagePair) -> None:
    assert ImagePair.from_json(pair.to_json()) == pair
    bare = dataclasses.replace(pair, mask=None)
    assert ImagePair.from_json(bare.to_json()) == bare


def test_a_word_that_stands_for_no_pair_is_refused_with_what_there_is(pair: ImagePair) -> None:
    data = pair.fixed.parents[2]
    assert choose(["easy"], data) == ["made_up"]
    with pytest.raises(ValueError, match=r"Available: .*made_up"):
        choose(["nonsense"], data)


def test_without_a_mask_the_jacobian_is_still_measured_in_the_lungs(pair: ImagePair, scratch: Path) -> None:
    changed = variants.without_mask(pair, scratch)
    assert changed.mask is None
    assert changed.region == pair.region


def test_the_cut_loses_a_third_at_the_feet_and_the_landmarks_there(pair: ImagePair, scratch: Path) -> None:
    whole = Geometry.of(sitk.ReadImage(str(pair.moving)))
    changed = variants.cut(pair, scratch)
    rest = Geometry.of(sitk.ReadImage(str(changed.moving)))
    assert rest.size[2] == 13
    assert rest.corners()[:, 2].max() == pytest.approx(whole.corners()[:, 2].max())
    lowest = rest.corners()[:, 2].min()
    before, after = read_landmarks(pair.moving_landmarks).points, read_landmarks(changed.moving_landmarks).points
    assert len(after) == (before[:, 2] > lowest - 1.5).sum() < len(before)
    np.testing.assert_allclose(read_landmarks(changed.fixed_landmarks).points, after)


def test_the_shift_spoils_positions_and_centres_but_not_the_anatomy(pair: ImagePair, scratch: Path) -> None:
    changed = variants.shift(pair, scratch)
    before, after = sitk.ReadImage(str(pair.moving)), sitk.ReadImage(str(changed.moving))
    point = Geometry.of(before).to_physical(np.array([4, 5, 6]))
    moved = after.TransformPhysicalPointToIndex(point + np.array([variants.SHIFT_MM, 0, 0]))
    assert after[moved] == before[4, 5, 6]
    offset = Geometry.of(after).centre - Geometry.of(before).centre - [variants.SHIFT_MM, 0, 0]
    assert np.linalg.norm(offset) == pytest.approx(variants.SHIFT_MM, abs=1.5)  # whole slices of 3 mm
    assert offset[2] > 0
    shifted = read_landmarks(changed.moving_landmarks).points - read_landmarks(pair.moving_landmarks).points
    np.testing.assert_allclose(shifted, np.tile([variants.SHIFT_MM, 0, 0], (len(shifted), 1)), atol=1e-9)


def test_displacements_in_voxels_become_millimetres_along_the_patient(pair: ImagePair) -> None:
    grid = Geometry.of(sitk.ReadImage(str(pair.fixed)))
    index = np.array([3, 4, 5])
    one_further = np.zeros((*grid.shape, 3))
    one_further[..., 2] = 1  # array axis x
    field = preparation.field_of_voxels(one_further, grid)
    np.testing.assert_allclose(
        field.map_points(grid.to_physical(index)), grid.to_physical(index + np.array([1, 0, 0])), atol=1e-4
    )


def test_the_total_map_is_the_affine_after_the_deformation(pair: ImagePair) -> None:
    grid = Geometry.of(sitk.ReadImage(str(pair.fixed)))
    affine = sitk.AffineTransform([1.1, 0.1, 0, 0, 0.9, 0, 0.05, 0, 1], [3.0, -2.0, 1.0], [7.0, 8.0, 9.0])
    u = np.random.default_rng(1).normal(size=(*grid.shape, 3)).astype(np.float32)
    total = preparation.after_affine(DisplacementField(u, grid), affine)
    point = grid.to_physical(np.array([3, 4, 5]))
    expected = affine.TransformPoint(point + u[5, 4, 3])
    np.testing.assert_allclose(total.map_points(point), expected, atol=1e-4)


def test_a_grown_mask_reaches_as_far_as_asked(pair: ImagePair) -> None:
    distance = 4.0
    grown = sitk.GetArrayFromImage(preparation.read_dilated(pair.mask, distance)).astype(bool)
    grid = Geometry.of(sitk.ReadImage(str(pair.mask)))
    inside = grid.points()[sitk.GetArrayFromImage(sitk.ReadImage(str(pair.mask))) > 0]
    gaps = np.linalg.norm(grid.points()[..., None, :] - inside, axis=-1).min(-1)
    assert grown[gaps <= distance - 0.01].all()
    assert not grown[gaps > distance + 3.0].any()


def test_a_perfect_field_has_no_error_and_a_shifted_one_its_shift(pair: ImagePair) -> None:
    grid = Geometry.of(sitk.ReadImage(str(pair.fixed)))
    zero = DisplacementField.zero(grid)
    assert measure(zero, pair)["max_mm"] == pytest.approx(0, abs=1e-9)
    shifted = DisplacementField(zero.array + np.float32([3, 0, 4]), grid)
    found = measure(shifted, pair)
    assert found["mean_mm"] == pytest.approx(5)
    assert found["folding_percent"] == 0
    assert found["sd_log_jacobian"] == pytest.approx(0, abs=1e-6)


def test_dice_counts_the_labels_that_are_large_before_any_warp(tmp_path: Path) -> None:
    grid = Geometry((20, 20, 20))
    labels = np.zeros(grid.shape, np.uint8)
    labels[:10, :, :10], labels[:10, :, 10:], labels[15, 15, 15] = 1, 2, 3
    sitk.WriteImage(grid.apply_to(sitk.GetImageFromArray(labels)), str(tmp_path / "labels.nii"))
    half_a_label = DisplacementField(np.tile(np.float32([5, 0, 0]), (*grid.shape, 1)), grid)
    found = mean_dice(half_a_label, tmp_path / "labels.nii", tmp_path / "labels.nii")
    # Pulled through x + 5, label 1 keeps x = 0..4 (of 0..9) and label 2 lies at x = 5..14 (of 10..19); 3 is too small.
    assert found == pytest.approx((2 * 5 / (10 + 5) + 2 * 5 / (10 + 10)) / 2)


def test_tools_stand_for_their_usual_settings_and_settings_for_themselves() -> None:
    assert choose_runs(["greedy", "elx_fast", "greedy_s2"]) == [("greedy", "greedy_s2"), ("elastix", "elx_fast")]
    assert choose_runs(["greedy", "elastix"], brain=True) == [("greedy", "greedy")]
    with pytest.raises(ValueError, match="no tool 'ants'"):
        choose_runs(["ants"])


def row(run: str, mean: float, seconds: float, **more: object) -> dict:
    return {"pair": "p", "variant": "none", "tool": "t", "run": run, "mean_mm": mean, "seconds": seconds, **more}


def test_ratios_refer_to_greedy_on_the_same_pair_and_variant() -> None:
    other = row("greedy_s2", 9.0, 9.0) | {"variant": "cut"}
    rows = [other, row("greedy_s2", 0.5, 20.0), row("ours_fast", 0.25, 2.0)]
    assert tables_and_plots.ratio(rows[2], rows, "mean_mm") == 0.5
    assert tables_and_plots.ratio(rows[2], rows, "seconds") == pytest.approx(0.1)
    assert math.isnan(tables_and_plots.ratio(rows[2], rows[2:], "seconds"))


def test_a_run_that_failed_stays_in_the_table_and_out_of_the_means(tmp_path: Path) -> None:
    failed = {"pair": "q", "variant": "none", "tool": "t", "run": "ours_fast", "failure": "out of memory"}
    rows = [row("greedy_s2", 0.5, 20.0), row("ours_fast", 0.25, 2.0), failed]
    text = tables_and_plots.write_table_and_plots(rows, tmp_path)
    assert "failed: out of memory" in text
    assert "| none | ours_fast | 2 | 0.50 | 0.10 | 1 |" in text
    assert len({line.count("|") for line in tables_and_plots.pair_table(rows).splitlines()}) == 1
    assert {f.name for f in tmp_path.iterdir()} == {"table.md", "error.png", "time.png"}
