"""warp, invert and evaluate, against SimpleITK."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
from DeepRegLib import cli
from DeepRegLib.evidence.landmarks import read_landmarks


@pytest.fixture(scope="module")
def bspline(pair_folder, tmp_path_factory):
    """A B-spline transform file, with a shift, as other programs write it; and the transform."""
    fixed = sitk.ReadImage(str(pair_folder / "fixed.nii.gz"))
    transform = sitk.BSplineTransformInitializer(fixed, [4, 4, 4])
    rng = np.random.default_rng(3)
    transform.SetParameters((rng.normal(0, 4, len(transform.GetParameters())) + 2).tolist())
    path = tmp_path_factory.mktemp("bspline") / "bspline.tfm"
    sitk.WriteTransform(transform, str(path))
    return path, transform


@pytest.fixture
def in_process(capsys):
    """As the fixture for real processes, within this one: torch is loaded once. Exit statuses and clean output of real
    processes are tested with the other commands."""

    def run(*words):
        capsys.readouterr()
        status = cli.main([*map(str, words)])
        printed = capsys.readouterr()
        return SimpleNamespace(returncode=status, stdout=printed.out, stderr=printed.err)

    return run


def points_of(path):
    return np.loadtxt(path, delimiter=",", skiprows=1)


def mapped(transform, points):
    return np.array([transform.TransformPoint(p) for p in points.tolist()])


def evaluate(in_process, pair_folder, transform, *words):
    answer = in_process(
        *("evaluate", transform, "--fixed", pair_folder / "fixed.nii.gz", "--moving", pair_folder / "moving.nii.gz"),
        *("--json", *words),
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def test_an_image_is_warped_as_simpleitk_does(in_process, pair_folder, tmp_path):
    truth = pair_folder / "true_transform.h5"
    answer = in_process("warp", pair_folder / "moving.nii.gz", truth, "--output", tmp_path / "warped.nii.gz")
    assert answer.returncode == 0, answer.stderr
    warped = sitk.ReadImage(str(tmp_path / "warped.nii.gz"))
    fixed, moving = (sitk.ReadImage(str(pair_folder / f"{name}.nii.gz")) for name in ("fixed", "moving"))
    transform = sitk.ReadTransform(str(truth))
    expected = sitk.Resample(moving, fixed, transform, sitk.sitkLinear, -1024)
    assert warped.GetPixelID() == moving.GetPixelID()
    assert np.allclose(warped.GetOrigin(), fixed.GetOrigin(), atol=1e-4)
    seen = _deep_inside(moving, fixed, transform)
    assert seen.mean() > 0.5
    difference = np.abs(sitk.GetArrayFromImage(warped).astype(float) - sitk.GetArrayFromImage(expected))
    assert difference[seen].max() <= 1  # rounding of halves


def _deep_inside(moving, fixed, transform):
    """Voxels of the fixed grid that the transform takes at least one voxel into the moving image: programs differ in
    what they do at the border."""
    inner = sitk.Image(moving.GetSize(), sitk.sitkUInt8) + 1
    inner = sitk.ConstantPad(sitk.Crop(inner, [1] * 3, [1] * 3), [1] * 3, [1] * 3, 0)
    inner.CopyInformation(moving)
    return sitk.GetArrayFromImage(sitk.Resample(inner, fixed, transform, sitk.sitkNearestNeighbor)) > 0


def test_a_label_map_keeps_its_labels_and_gets_the_grid_of_the_reference(in_process, pair_folder, bspline, tmp_path):
    path, transform = bspline
    moving = sitk.Cast(sitk.ReadImage(str(pair_folder / "moving_mask.nii.gz")), sitk.sitkUInt16) * 700
    sitk.WriteImage(moving, str(tmp_path / "labels.nrrd"))
    answer = in_process(
        *("warp", tmp_path / "labels.nrrd", path, "--labels", "--reference", pair_folder / "fixed.nii.gz"),
        *("--output", tmp_path / "warped.nrrd"),
    )
    assert answer.returncode == 0, answer.stderr
    warped = sitk.ReadImage(str(tmp_path / "warped.nrrd"))
    fixed = sitk.ReadImage(str(pair_folder / "fixed.nii.gz"))
    expected = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, transform, sitk.sitkNearestNeighbor))
    assert warped.GetSize() == fixed.GetSize()
    assert set(np.unique(sitk.GetArrayFromImage(warped))) == {0, 700}
    assert (sitk.GetArrayFromImage(warped) != expected).mean() < 1e-3


def test_a_transform_without_a_grid_asks_for_the_fixed_image(in_process, pair_folder, bspline, tmp_path):
    answer = in_process("warp", pair_folder / "moving.nii.gz", bspline[0], "--output", tmp_path / "w.nii.gz")
    assert answer.returncode == 2
    assert "reference" in answer.stderr and "Traceback" not in answer.stderr


@pytest.mark.parametrize("name", ["points.csv", "points.mrk.json"])
def test_points_go_forward_from_fixed_to_moving(in_process, pair_folder, tmp_path, name):
    truth = pair_folder / "true_transform.h5"
    answer = in_process("warp", pair_folder / "fixed_landmarks.csv", truth, "--output", tmp_path / name)
    assert answer.returncode == 0, answer.stderr
    assert "from the fixed to the moving image" in answer.stdout
    expected = mapped(sitk.ReadTransform(str(truth)), points_of(pair_folder / "fixed_landmarks.csv"))
    assert np.abs(read_landmarks(tmp_path / name).points - expected).max() < 1e-3


def test_the_inverse_takes_moving_points_back(in_process, pair_folder, tmp_path):
    inverse = tmp_path / "inverse.h5"
    reference = ("--reference", pair_folder / "moving.nii.gz")
    answer = in_process("invert", pair_folder / "true_transform.h5", "--output", inverse, *reference)
    assert answer.returncode == 0, answer.stderr
    back = mapped(sitk.ReadTransform(str(inverse)), points_of(pair_folder / "moving_landmarks.csv"))
    error = np.linalg.norm(back - points_of(pair_folder / "fixed_landmarks.csv"), axis=1)
    assert np.median(error) < 0.05
    assert error.max() < 0.5  # between voxels of 4 mm


def test_the_inverse_of_an_affine_transform_is_that_of_simpleitk(in_process, pair_folder, tmp_path):
    affine = sitk.Euler3DTransform((0.0, 0.0, 0.0), 0.05, -0.1, 0.02, (5.0, -8.0, 12.0))
    sitk.WriteTransform(affine, str(tmp_path / "rigid.tfm"))
    words = ("--fixed", pair_folder / "fixed.nii.gz", "--reference", pair_folder / "moving.nii.gz")
    answer = in_process("invert", tmp_path / "rigid.tfm", "--output", tmp_path / "inverse.nrrd", *words)
    assert answer.returncode == 0, answer.stderr
    field = sitk.ReadImage(str(tmp_path / "inverse.nrrd"), sitk.sitkVectorFloat64)
    inverse = sitk.DisplacementFieldTransform(field)
    points = points_of(pair_folder / "moving_landmarks.csv")
    assert np.abs(mapped(inverse, points) - mapped(affine.GetInverse(), points)).max() < 0.02


def test_landmark_errors_of_a_foreign_transform_are_those_of_simpleitk(in_process, pair_folder, bspline):
    path, transform = bspline
    landmarks = [pair_folder / f"{role}_landmarks.csv" for role in ("fixed", "moving")]
    found = evaluate(
        in_process, pair_folder, path, "--fixed-landmarks", landmarks[0], "--moving-landmarks", landmarks[1]
    )
    fixed, moving = map(points_of, landmarks)
    before = np.linalg.norm(fixed - moving, axis=1)
    after = np.linalg.norm(mapped(transform, fixed) - moving, axis=1)
    statistics = found["landmarks"]
    assert statistics["count"] == len(fixed)
    for errors, name in ((before, "before"), (after, "after")):
        assert statistics[name]["mean_mm"] == pytest.approx(errors.mean(), abs=0.05)
        assert statistics[name]["sd_mm"] == pytest.approx(errors.std(ddof=1), abs=0.05)
        assert statistics[name]["max_mm"] == pytest.approx(errors.max(), abs=0.1)


def test_dice_is_that_of_simpleitk(in_process, pair_folder):
    masks = [pair_folder / f"{role}_mask.nii.gz" for role in ("fixed", "moving")]
    truth = pair_folder / "true_transform.h5"
    found = evaluate(in_process, pair_folder, truth, "--fixed-labels", masks[0], "--moving-labels", masks[1])
    fixed, moving = (sitk.ReadImage(str(mask)) for mask in masks)
    for when, transform in (("before", sitk.Transform()), ("after", sitk.ReadTransform(str(truth)))):
        measures = sitk.LabelOverlapMeasuresImageFilter()
        measures.Execute(fixed, sitk.Resample(moving, fixed, transform, sitk.sitkNearestNeighbor))
        assert found["dice"][when]["mean"] == pytest.approx(measures.GetDiceCoefficient(), abs=2e-3)
    assert found["dice"]["before"]["mean"] < found["dice"]["after"]["mean"]


def test_stretch_and_folds_are_those_of_the_formula(in_process, pair_folder, tmp_path):
    """x is mirrored right of the middle, and everything is stretched by 1.2 along y."""
    fixed = sitk.ReadImage(str(pair_folder / "fixed.nii.gz"))
    z, y, x = np.meshgrid(*(np.arange(n) for n in fixed.GetSize()[::-1]), indexing="ij")
    position = np.stack([x, y, z], -1) * np.array(fixed.GetSpacing())
    middle = position[0, 0, fixed.GetSize()[0] // 2, 0]
    displacement = np.zeros(position.shape)
    displacement[..., 0] = -2 * np.maximum(position[..., 0] - middle, 0)
    displacement[..., 1] = 0.2 * position[..., 1]
    field = sitk.GetImageFromArray(displacement, isVector=True)
    field.CopyInformation(fixed)
    sitk.WriteImage(field, str(tmp_path / "mirror.mha"))
    everywhere = sitk.Image(fixed.GetSize(), sitk.sitkUInt8) + 1
    everywhere.CopyInformation(fixed)
    sitk.WriteImage(everywhere, str(tmp_path / "mask.mha"))
    found = evaluate(in_process, pair_folder, tmp_path / "mirror.mha", "--fixed-mask", tmp_path / "mask.mha")
    assert found["folding_percent"] == pytest.approx(50, abs=1.5)
    assert found["jacobian"]["max"] == pytest.approx(1.2, abs=1e-3)
    assert found["jacobian"]["min"] == pytest.approx(-1.2, abs=1e-3)
    lengths = np.linalg.norm(displacement, axis=-1)
    assert found["displacement"]["max_mm"] == pytest.approx(lengths.max(), rel=1e-4)
    assert found["displacement"]["mean_mm"] == pytest.approx(lengths.mean(), rel=1e-4)


def test_the_true_transform_makes_the_images_alike_and_people_can_read_it(in_process, pair_folder):
    found = evaluate(in_process, pair_folder, pair_folder / "true_transform.h5")
    assert found["similarity"]["after"] > 2 * found["similarity"]["before"]
    answer = in_process(
        *("evaluate", pair_folder / "true_transform.h5", "--fixed", pair_folder / "fixed.nii.gz"),
        *("--moving", pair_folder / "moving.nii.gz"),
    )
    assert "Local similarity" in answer.stdout and "Folding" in answer.stdout and answer.stderr == ""


def test_landmarks_of_another_patient_are_refused(in_process, pair_folder, tmp_path):
    (tmp_path / "far.csv").write_text("x,y,z\n" + "900,900,900\n" * 100)
    answer = in_process(
        *("evaluate", pair_folder / "true_transform.h5", "--fixed", pair_folder / "fixed.nii.gz"),
        *("--moving", pair_folder / "moving.nii.gz", "--fixed-landmarks", pair_folder / "fixed_landmarks.csv"),
        *("--moving-landmarks", tmp_path / "far.csv"),
    )
    assert answer.returncode == 2
    assert "far.csv" in answer.stderr and "outside" in answer.stderr
