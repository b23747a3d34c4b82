"""Transform files, written for and by SimpleITK."""

import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk
from DeepRegLib.errors import BadInput, OutputProblem
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.linear import LinearTransform
from DeepRegLib.transforms.read_write import read_linear_transform, read_transform, write_transform
from test_transforms_sampling import oblique_axes

TOLERANCE_MM = 1e-3
GRID = Geometry((7, 6, 5), (1.5, 2.0, 2.5), (10.0, -20.0, 400.0), oblique_axes())
FORMATS = (".h5", ".tfm", ".nrrd", ".mha", ".nii", ".nii.gz")


@pytest.fixture
def field() -> DisplacementField:
    return DisplacementField(np.random.default_rng(0).normal(size=(*GRID.shape, 3)).astype(np.float32) * 9, GRID)


def inner_points() -> np.ndarray:
    return GRID.to_physical(np.random.default_rng(1).uniform(0, 1, (50, 3)) * (np.array(GRID.size) - 1))


@pytest.mark.parametrize("extension", FORMATS)
def test_sitk_reads_every_format_as_the_same_map(tmp_path, field, extension):
    path = tmp_path / f"field{extension}"
    write_transform(path, field)
    if extension in (".h5", ".tfm"):
        theirs = sitk.ReadTransform(str(path))
    else:
        theirs = sitk.DisplacementFieldTransform(sitk.ReadImage(str(path), sitk.sitkVectorFloat64))
    points = inner_points()
    truth = np.array([theirs.TransformPoint(p) for p in points.tolist()])
    assert np.abs(field.map_points(points) - truth).max() < TOLERANCE_MM


@pytest.mark.parametrize("extension", FORMATS)
def test_a_field_comes_back_as_it_was_and_leaves_no_other_file(tmp_path, field, extension):
    path = tmp_path / f"field{extension}"
    write_transform(path, field)
    back = read_transform(path)
    assert back.geometry.matches(GRID)
    assert np.abs(back.array - field.array).max() < 1e-6
    assert list(tmp_path.iterdir()) == [path]


def written_by_sitk(transform: sitk.Transform, path) -> None:
    sitk.WriteTransform(transform, str(path))


def bspline() -> sitk.Transform:
    transform = sitk.BSplineTransformInitializer(GRID.apply_to(sitk.Image(GRID.size, sitk.sitkUInt8)), (3, 3, 3), 3)
    transform.SetParameters((np.random.default_rng(2).normal(size=len(transform.GetParameters())) * 2).tolist())
    return transform


@pytest.mark.parametrize(
    "transform",
    [
        sitk.Euler3DTransform((5, 5, 5), 0.1, 0.05, -0.1, (2, 3, -4)),
        bspline(),
        sitk.CompositeTransform([sitk.TranslationTransform(3, (1, 2, 3)), bspline()]),
    ],
    ids=["rigid", "B-spline", "composite"],
)
def test_other_transforms_are_evaluated_on_a_reference(tmp_path, transform):
    path = tmp_path / "other.tfm"
    written_by_sitk(transform, path)
    points = GRID.points()
    truth = np.array([transform.TransformPoint(p) for p in points.reshape(-1, 3).tolist()]).reshape(points.shape)
    assert np.abs(points + read_transform(path, GRID).array - truth).max() < TOLERANCE_MM
    with pytest.raises(BadInput, match="reference"):
        read_transform(path)


def test_a_displacement_field_wrapped_in_a_composite_needs_no_reference(tmp_path, field):
    path = tmp_path / "wrapped.h5"
    written_by_sitk(sitk.CompositeTransform([field.to_sitk_transform()]), path)
    assert np.abs(read_transform(path).array - field.array).max() < 1e-6


@pytest.mark.parametrize("extension", [".h5", ".tfm"])
def test_a_linear_transform_goes_to_sitk_and_back(tmp_path, extension):
    path = tmp_path / f"affine{extension}"
    affine = LinearTransform(np.eye(3) + np.random.default_rng(3).normal(size=(3, 3)) * 0.2, [10, -20, 30])
    write_transform(path, affine)
    theirs = sitk.ReadTransform(str(path))
    assert affine.map_points([1.0, 2.0, 3.0]) == pytest.approx(theirs.TransformPoint((1.0, 2.0, 3.0)))
    back = read_linear_transform(path)
    assert back.matrix == pytest.approx(affine.matrix)
    assert back.translation == pytest.approx(affine.translation)


def test_a_rigid_transform_about_a_centre_is_read_with_that_centre(tmp_path):
    rigid = sitk.Euler3DTransform((50, -5, 500), 0.1, 0.05, -0.1, (2, 3, -4))
    written_by_sitk(rigid, tmp_path / "rigid.tfm")
    ours = read_linear_transform(tmp_path / "rigid.tfm")
    assert ours.map_points([7.0, 8.0, 9.0]) == pytest.approx(rigid.TransformPoint((7.0, 8.0, 9.0)))


def test_a_bending_transform_is_not_linear(tmp_path):
    written_by_sitk(bspline(), tmp_path / "bspline.tfm")
    with pytest.raises(BadInput, match="not a linear"):
        read_linear_transform(tmp_path / "bspline.tfm")


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("missing.h5", None, "no file"),
        ("missing.nrrd", None, "no file"),
        ("broken.h5", b"nonsense", "cannot be read"),
        ("broken.nii.gz", b"nonsense", "cannot be read"),
        ("field.docx", b"nonsense", "not a transform file"),
    ],
)
def test_what_cannot_be_read_is_bad_input_in_plain_words(tmp_path, name, content, word):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=word):
        read_transform(tmp_path / name)


def test_a_scan_is_not_taken_for_a_field(tmp_path):
    sitk.WriteImage(sitk.Image([4, 4, 4], sitk.sitkInt16), str(tmp_path / "scan.nrrd"))
    with pytest.raises(BadInput, match="three values"):
        read_transform(tmp_path / "scan.nrrd")


def test_a_field_in_the_sense_moving_to_fixed_is_refused(tmp_path, field):
    image = field.to_sitk()
    image.SetMetaData("displacement field type", "modeling")
    sitk.WriteImage(image, str(tmp_path / "modeling.nrrd"))
    with pytest.raises(BadInput, match="moving to the fixed"):
        read_transform(tmp_path / "modeling.nrrd")


def test_a_transform_of_the_plane_is_refused(tmp_path):
    written_by_sitk(sitk.Euler2DTransform(), tmp_path / "flat.tfm")
    with pytest.raises(BadInput, match="plane"):
        read_transform(tmp_path / "flat.tfm", GRID)


def test_names_that_say_no_format_are_refused_before_anything_is_written(tmp_path, field):
    for name in ("field", "field.jpg", "field.mhd"):
        with pytest.raises(BadInput, match="choose one of"):
            write_transform(tmp_path / name, field)
    with pytest.raises(BadInput, match=r"\.h5"):
        write_transform(tmp_path / "linear.nrrd", LinearTransform())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("extension", FORMATS)
def test_a_missing_folder_is_an_output_problem(tmp_path, field, extension):
    with pytest.raises(OutputProblem):
        write_transform(tmp_path / "no" / f"field{extension}", field)


FULL_DISK = """
import os, resource, signal, sys
import numpy as np
from DeepRegLib.errors import OutputProblem
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.read_write import write_transform

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
noise = np.random.default_rng(0).normal(size=(20, 20, 20, 3)).astype(np.float32)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
try:
    write_transform(sys.argv[1], DisplacementField(noise, Geometry((20, 20, 20))))
except OutputProblem:
    os._exit(7)  # ITK's HDF5 may crash on the way out of a process whose disk was full
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize("extension", FORMATS)
def test_a_full_disk_is_an_output_problem_and_the_old_file_stays(tmp_path, extension):
    path = tmp_path / f"field{extension}"
    path.write_text("old")
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, timeout=120)
    assert done.returncode == 7, done.stderr.decode()[-2000:]
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
