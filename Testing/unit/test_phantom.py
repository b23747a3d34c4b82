"""The images, masks, landmarks, field and files of the phantom agree with each other, judged by SimpleITK and scipy."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from DeepRegLib.errors import BadInput, OutputProblem
from DeepRegLib.images.volume import Volume
from DeepRegLib.phantom import PhantomPair, make_phantom, write_pair
from scipy import ndimage
from scipy.interpolate import RegularGridInterpolator

SMALL = (40, 32, 36)
PARENCHYMA_HU = -750
"""Between lung tissue and the vessels in it."""


@pytest.fixture(scope="module")
def easy() -> PhantomPair:
    return make_phantom((92, 76, 84), seed=5)


@pytest.fixture(scope="module")
def hard() -> PhantomPair:
    return make_phantom((92, 76, 84), seed=6, difficulty="hard", oblique_degrees=7)


@pytest.fixture(scope="module", params=["easy", "hard"])
def pair(request: pytest.FixtureRequest) -> PhantomPair:
    return request.getfixturevalue(request.param)


def sampled(volume: Volume, points: np.ndarray) -> np.ndarray:
    index = volume.geometry.to_index(points)[:, ::-1].T
    return ndimage.map_coordinates(volume.array.astype(np.float32), index, order=1)


def warped(pair: PhantomPair, transform: sitk.Transform) -> np.ndarray:
    image = sitk.Resample(pair.moving.to_sitk(), pair.fixed.to_sitk(), transform, sitk.sitkLinear, -1000.0)
    return sitk.GetArrayFromImage(image).astype(float)


def deep_lung(pair: PhantomPair, depth_mm: float) -> np.ndarray:
    spacing = pair.fixed.geometry.spacing[::-1]
    return ndimage.distance_transform_edt(pair.fixed_mask.array, sampling=spacing) > depth_mm


def test_images_are_hounsfield_units_on_two_different_grids(pair: PhantomPair) -> None:
    assert pair.fixed.array.dtype == pair.moving.array.dtype == np.int16
    assert pair.fixed_mask.array.dtype == np.uint8
    assert set(np.unique(pair.moving_mask.array)) == {0, 1}
    assert pair.fixed_mask.geometry == pair.fixed.geometry == pair.field.geometry
    assert pair.moving_mask.geometry == pair.moving.geometry
    fixed, moving = pair.fixed.geometry, pair.moving.geometry
    assert fixed.size != moving.size
    assert np.abs(np.subtract(fixed.spacing, moving.spacing)).min() > 0.01
    assert np.abs(np.subtract(fixed.origin, moving.origin)).min() > 0.01


def test_tissues_have_the_values_a_radiologist_expects(pair: PhantomPair) -> None:
    def around(x: float, y: float, z: float) -> float:
        near = np.array([x, y, z]) + np.random.default_rng(0).uniform(-5, 5, (200, 3))
        return float(np.median(sampled(pair.fixed, near)))

    assert around(-60, -20, -75) == pytest.approx(60, abs=15)  # liver
    assert around(14, -30, -25) == pytest.approx(45, abs=15)  # heart
    assert around(-92, -10, 15) == pytest.approx(-865, abs=60)  # right lung
    assert around(0, 8, 80) < -900  # windpipe
    assert around(0, -112, 0) == pytest.approx(-1000, abs=20)  # air before the chest
    assert pair.fixed.array.max() > 350  # cortical bone
    litres = pair.fixed_mask.array.sum() * pair.fixed.geometry.voxel_volume_mm3 / 1e6
    assert 2 < litres < 6


def test_lungs_are_complete_in_both_views(pair: PhantomPair) -> None:
    for mask in (pair.fixed_mask.array, pair.moving_mask.array):
        faces = [mask.take(i, axis) for axis in (0, 1, 2) for i in (0, -1)]
        assert not any(face.any() for face in faces)
        _, count = ndimage.label(ndimage.binary_opening(mask))
        assert count == 2


def test_landmarks_are_enough_and_deep_in_both_lungs(pair: PhantomPair) -> None:
    points = pair.fixed_landmarks
    assert points.shape == pair.moving_landmarks.shape == (100, 3)
    spacing = np.array(pair.fixed.geometry.spacing)[::-1]
    depth = ndimage.distance_transform_edt(pair.fixed_mask.array, sampling=spacing)
    assert sampled(Volume(depth, pair.fixed.geometry), points).min() > 2.5  # 4 mm, less what voxels and curves take
    assert min((points[:, 0] < 0).sum(), (points[:, 0] > 0).sum()) > 25
    distances = np.linalg.norm(points[:, None] - points, axis=-1) + 1e3 * np.eye(len(points))
    assert distances.min() > 5
    index = pair.fixed.geometry.to_index(points)
    assert (np.abs(index - np.rint(index)).max(1) > 0.05).mean() > 0.9


def test_landmarks_sit_on_vessels_in_both_images(pair: PhantomPair) -> None:
    aside = np.random.default_rng(0).normal(size=(30, 100, 3))
    aside *= 7 / np.linalg.norm(aside, axis=-1, keepdims=True)
    for image, landmarks in ((pair.fixed, pair.fixed_landmarks), (pair.moving, pair.moving_landmarks)):
        beside = np.median([sampled(image, landmarks + shift) for shift in aside], axis=0)
        contrast = sampled(image, landmarks) - beside
        assert np.median(contrast) > 100  # about zero for points that miss the vessels
        assert (contrast > 0).mean() > 0.85


def test_the_field_takes_fixed_landmarks_to_moving_landmarks(pair: PhantomPair) -> None:
    axes = [np.arange(n) for n in pair.field.geometry.shape]
    field = RegularGridInterpolator(axes, pair.field.array.astype(float))
    moved = pair.fixed_landmarks + field(pair.field.geometry.to_index(pair.fixed_landmarks)[:, ::-1])
    error = np.linalg.norm(moved - pair.moving_landmarks, axis=1)
    assert error.mean() < 0.02
    assert error.max() < 0.08  # linear interpolation between voxels of 3 mm costs this; the field itself is better


def test_the_field_is_the_exact_map_at_the_voxels(pair: PhantomPair) -> None:
    for depth_mm, worst in ((0, 0.5), (4, 0.15)):
        inside = deep_lung(pair, depth_mm)
        points = pair.fixed.geometry.points()[inside][::5]
        error = np.linalg.norm(points + pair.field.array[inside][::5] - pair.motion.map_points(points), axis=1)
        assert np.percentile(error, 99) < 0.05
        assert error.max() < worst


def test_nothing_folds_in_the_lungs(pair: PhantomPair) -> None:
    determinant = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(pair.field.to_sitk()))
    assert determinant[deep_lung(pair, 7)].min() > 0


def test_warping_with_the_true_field_restores_the_fixed_lungs(pair: PhantomPair) -> None:
    lungs = pair.fixed_mask.array > 0
    fixed = pair.fixed.array[lungs].astype(float)
    before = np.corrcoef(fixed, warped(pair, sitk.Transform(3, sitk.sitkIdentity))[lungs])[0, 1]
    after = np.corrcoef(fixed, warped(pair, pair.field.to_sitk_transform())[lungs])[0, 1]
    assert before < 0.4
    assert after > 0.75


def test_the_lung_masks_meet_under_the_true_field(pair: PhantomPair) -> None:
    moved = sitk.Resample(
        pair.moving_mask.to_sitk(), pair.fixed.to_sitk(), pair.field.to_sitk_transform(), sitk.sitkNearestNeighbor
    )
    moved, lungs = sitk.GetArrayFromImage(moved) > 0, pair.fixed_mask.array > 0
    assert 2 * (moved & lungs).sum() / (moved.sum() + lungs.sum()) > 0.95


def test_lung_density_follows_the_volume(pair: PhantomPair) -> None:
    determinant = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(pair.field.to_sitk()))
    fixed = pair.fixed.array.astype(float)
    vessels = ndimage.binary_dilation(fixed > PARENCHYMA_HU, iterations=2)
    tissue = deep_lung(pair, 9) & ~vessels
    ratio = (warped(pair, pair.field.to_sitk_transform())[tissue] + 1000) / (fixed[tissue] + 1000)
    bins = np.digitize(determinant[tissue], np.quantile(determinant[tissue], [0.2, 0.4, 0.6, 0.8]))
    for k in range(5):
        expected = 1 / np.median(determinant[tissue][bins == k])
        assert np.median(ratio[bins == k]) == pytest.approx(expected, rel=0.06)


def test_the_same_seed_gives_the_same_bits_and_another_seed_another_patient() -> None:
    first, again, other = (make_phantom(SMALL, seed=seed) for seed in (3, 3, 8))
    for name in ("fixed", "moving", "fixed_mask", "moving_mask", "field"):
        assert np.array_equal(getattr(first, name).array, getattr(again, name).array)
    assert np.array_equal(first.moving_landmarks, again.moving_landmarks)
    assert first.moving.geometry == again.moving.geometry
    assert not np.array_equal(first.fixed_mask.array, other.fixed_mask.array)
    assert np.abs(first.field.array - other.field.array).max() > 3


def test_hard_moves_further_than_easy_with_thicker_slices_on_another_table() -> None:
    easy, hard = (make_phantom(SMALL, seed=1, difficulty=d) for d in ("easy", "hard"))
    breathing = [pair.info["landmark_breathing_mm"]["mean"] for pair in (easy, hard)]
    assert breathing[1] > 1.7 * breathing[0]
    assert hard.moving.geometry.spacing[2] > 1.3 * hard.fixed.geometry.spacing[2]
    assert 18 <= np.linalg.norm(hard.info["table_shift_mm"]) <= 30


def test_noise_is_as_strong_as_reported(pair: PhantomPair) -> None:
    liver = np.random.default_rng(0).uniform([-75, -40, -80], [-35, 10, -65], (3000, 3))
    for name, points in (("fixed", liver), ("moving", pair.motion.map_points(liver))):
        volume = getattr(pair, name)
        x, y, z = np.rint(volume.geometry.to_index(points)).astype(int).T
        assert volume.array[z, y, x].std() == pytest.approx(pair.info["noise_hu"][name], rel=0.15)


def test_oblique_grids_see_the_same_patient() -> None:
    straight, oblique = (make_phantom(SMALL, seed=1, oblique_degrees=angle) for angle in (0, 12))
    assert np.abs(oblique.fixed.geometry.axes - np.eye(3)).max() > 0.1
    assert np.abs(oblique.fixed.geometry.axes - oblique.moving.geometry.axes).max() > 0.1
    points = straight.fixed_landmarks
    np.testing.assert_allclose(oblique.motion.map_points(points), straight.motion.map_points(points))
    np.testing.assert_allclose(oblique.field.map_points(points), straight.field.map_points(points), atol=0.6)


def test_a_given_spacing_is_kept() -> None:
    pair = make_phantom((70, 60, 50), spacing=(3.0, 3.0, 4.0))
    assert pair.fixed.geometry.spacing == (3.0, 3.0, 4.0)
    assert pair.fixed.geometry.contains(pair.fixed_landmarks).all()
    assert pair.moving.geometry.contains(pair.moving_landmarks).all()


def test_nonsense_is_refused_in_words() -> None:
    with pytest.raises(BadInput, match="difficulty 'gentle'"):
        make_phantom(SMALL, difficulty="gentle")
    with pytest.raises(BadInput, match="too small"):
        make_phantom((20, 20, 20), spacing=(2.0, 2.0, 2.0))


def test_written_files_are_read_back_by_simpleitk(easy: PhantomPair, tmp_path: Path) -> None:
    folder = write_pair(easy, tmp_path / "new" / "pair")
    for name in ("fixed", "moving", "fixed_mask", "moving_mask"):
        image = Volume.from_sitk(sitk.ReadImage(str(folder / f"{name}.nii.gz")))
        assert np.array_equal(image.array, getattr(easy, name).array)
        assert image.array.dtype == getattr(easy, name).array.dtype
        assert image.geometry.matches(getattr(easy, name).geometry)
    fixed, moving = (np.loadtxt(folder / f"{n}_landmarks.csv", delimiter=",", skiprows=1) for n in ("fixed", "moving"))
    assert (folder / "fixed_landmarks.csv").read_text().splitlines()[0] == "x,y,z"
    np.testing.assert_allclose(fixed, easy.fixed_landmarks, atol=5.1e-4)
    transform = sitk.ReadTransform(str(folder / "true_transform.h5"))
    moved = np.array([transform.TransformPoint(point) for point in fixed])
    assert np.linalg.norm(moved - moving, axis=1).max() < 0.08
    info = json.loads((folder / "info.json").read_text())
    assert (info["seed"], info["difficulty"]) == (5, "easy")
    assert len(list(folder.iterdir())) == 8


def test_a_failed_write_says_so_and_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(transform: sitk.Transform, path: str) -> None:
        Path(path).write_bytes(b"half")
        raise RuntimeError("no space left on device")

    monkeypatch.setattr(sitk, "WriteTransform", full_disk)
    with pytest.raises(OutputProblem, match="cannot be written"):
        write_pair(make_phantom(SMALL), tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".") or path.suffix == ".h5"]


def test_a_file_in_place_of_the_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputProblem):
        write_pair(make_phantom(SMALL), tmp_path / "taken")
