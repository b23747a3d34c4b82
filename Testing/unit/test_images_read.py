"""Reading: what is kept, what is refused, and with which words."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from DeepRegLib.errors import BadInput, BadMask, OutputProblem
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.read import read_mask, read_volume, write_volume
from DeepRegLib.images.volume import Volume

CPP_REMAINS = ("sitk::", "itk::", ".cxx", ".hxx", "0x", "Exception thrown")
METAIMAGE_HEADER = (
    "ObjectType = Image\nNDims = 3\nBinaryData = True\nTransformMatrix = {direction}\nOffset = 0 0 0\n"
    "ElementSpacing = {spacing}\nDimSize = 20 20 20\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
)


def refusal(path: Path) -> str:
    """The sentence with which a file is refused; it names the file and holds no C++."""
    with pytest.raises(BadInput) as caught:
        read_volume(path)
    sentence = str(caught.value)
    assert path.name in sentence
    assert not any(word in sentence for word in CPP_REMAINS), sentence
    return sentence


def metaimage(path: Path, direction: str = "1 0 0 0 1 0 0 0 1", spacing: str = "1 1 1") -> Path:
    path.write_bytes(METAIMAGE_HEADER.format(direction=direction, spacing=spacing).encode() + bytes(range(200)) * 40)
    return path


@pytest.fixture
def image(oblique_geometry: Geometry) -> sitk.Image:
    voxels = np.random.default_rng(1).integers(-1000, 2000, oblique_geometry.shape).astype(np.int16)
    return oblique_geometry.apply_to(sitk.GetImageFromArray(voxels))


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".mha", ".mhd", ".nrrd"])
def test_a_file_gives_the_voxels_and_the_oblique_grid(tmp_path: Path, image: sitk.Image, ending: str) -> None:
    # NIfTI writes a left-handed grid as it is, in single precision.
    path = tmp_path / f"scan{ending}"
    sitk.WriteImage(image, str(path))
    volume = read_volume(path)
    assert volume.array.dtype == np.int16 and volume.name == path.name
    np.testing.assert_array_equal(volume.array, sitk.GetArrayFromImage(image))
    assert volume.geometry.matches(Geometry.of(image))


def test_a_path_as_text_a_simpleitk_image_and_a_volume_are_taken_too(tmp_path: Path, image: sitk.Image) -> None:
    sitk.WriteImage(image, str(tmp_path / "scan.mha"))
    volume = read_volume(str(tmp_path / "scan.mha"))
    np.testing.assert_array_equal(read_volume(image).array, volume.array)
    assert read_volume(volume) is volume


def test_a_folder_with_one_dicom_series_is_read(tmp_path: Path) -> None:
    voxels = np.random.default_rng(2).integers(-1000, 1000, (18, 20, 22)).astype(np.int16)
    write_dicom_series(tmp_path, voxels, series=1)
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.array, voxels)
    np.testing.assert_allclose(volume.geometry.spacing, (0.8, 0.8, 3.0), atol=1e-6)


def test_a_folder_with_two_dicom_series_is_refused(tmp_path: Path) -> None:
    for series in (1, 2):
        write_dicom_series(tmp_path, np.zeros((16, 16, 16), np.int16), series)
    assert "2 DICOM series" in refusal(tmp_path)


def test_a_folder_without_dicom_is_refused(tmp_path: Path) -> None:
    assert "no DICOM" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("stored", "highest", "kept"),
    [
        (np.uint8, 255, np.uint8),
        (np.int8, 100, np.int16),
        (np.uint16, 4095, np.int16),
        (np.uint16, 60000, np.float32),
        (np.int32, 3000, np.int16),
        (np.int32, 100000, np.float32),
        (np.float32, 0.5, np.float32),
        (np.float64, 0.5, np.float32),
    ],
)
def test_voxels_keep_a_compact_type_and_their_values(stored: type, highest: float, kept: type) -> None:
    voxels = np.zeros((4, 5, 6), stored)
    voxels[1, 2, 3] = highest
    array = read_volume(sitk.GetImageFromArray(voxels)).array
    assert array.dtype == kept
    np.testing.assert_array_equal(array, voxels)


def test_a_single_slice_becomes_a_grid_of_one_slice(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.arange(400, dtype=np.int16).reshape(20, 20)), str(tmp_path / "slice.mha"))
    assert read_volume(tmp_path / "slice.mha").geometry.is_2d


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "no file" in refusal(tmp_path / "gone.nii.gz")


def test_a_text_file_named_nii_gz_is_not_an_image(tmp_path: Path) -> None:
    path = tmp_path / "notes.nii.gz"
    path.write_text("these are notes")
    assert "not an image" in refusal(path)


def test_a_four_dimensional_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "series.nii.gz"
    sitk.WriteImage(sitk.JoinSeries([sitk.Image([8, 8, 8], sitk.sitkInt16)] * 3), str(path))
    assert "4 dimensions" in refusal(path)


def test_a_colour_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "photo.mha"
    sitk.WriteImage(sitk.Image([8, 8, 8], sitk.sitkVectorUInt8, 3), str(path))
    assert "colour" in refusal(path)


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".mha", ".nrrd"])
def test_a_file_that_ends_too_early_is_refused(tmp_path: Path, image: sitk.Image, ending: str) -> None:
    path = tmp_path / f"half{ending}"
    sitk.WriteImage(image, str(path))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "incomplete" in refusal(path)


def test_a_nifti_packed_in_several_gzip_parts_is_whole(tmp_path: Path, image: sitk.Image) -> None:
    sitk.WriteImage(image, str(tmp_path / "plain.nii"))
    raw = (tmp_path / "plain.nii").read_bytes()
    path = tmp_path / "parts.nii.gz"
    path.write_bytes(b"".join(gzip.compress(raw[k : k + 3000]) for k in range(0, len(raw), 3000)) + gzip.compress(b""))
    np.testing.assert_array_equal(read_volume(path).array, sitk.GetArrayFromImage(image))


@pytest.mark.parametrize(
    ("header", "word"),
    [
        ({"direction": "1 1 0 1 1 0 0 0 1"}, "direction"),
        ({"direction": "1 0.5 0 0 1 0 0 0 1"}, "direction"),
        ({"spacing": "1 0 1"}, "spacing"),
        ({"spacing": "1 1 4000"}, "spacing"),
        ({"spacing": "1 1 0.0000001"}, "spacing"),
    ],
)
def test_a_header_that_describes_no_grid_is_refused(tmp_path: Path, header: dict[str, str], word: str) -> None:
    assert word in refusal(metaimage(tmp_path / "broken.mha", **header))


def test_complex_voxels_are_refused() -> None:
    with pytest.raises(BadInput, match="plain numbers"):
        read_volume(sitk.Image([4, 4, 4], sitk.sitkComplexFloat32))


def test_every_nonzero_label_is_inside_a_mask() -> None:
    labels = np.zeros((6, 6, 6), np.uint8)
    labels[1, 2, 3], labels[4, 4, 4] = 1, 207
    mask = read_mask(sitk.GetImageFromArray(labels), Geometry((6, 6, 6)))
    assert mask.array.dtype == bool
    np.testing.assert_array_equal(mask.array, labels > 0)


def test_a_mask_of_another_grid_is_resampled_to_the_nearest_voxel(oblique_geometry: Geometry) -> None:
    own = Geometry((30, 30, 40), (1.0, 1.3, 1.7), tuple(oblique_geometry.centre - (15.0, 20.0, 34.0)))
    ball = np.linalg.norm(own.points() - oblique_geometry.centre, axis=-1) < 8.0
    mask = read_mask(Volume(ball, own), oblique_geometry)
    assert mask.geometry == oblique_geometry
    index = np.rint(own.to_index(oblique_geometry.points())).astype(int)
    known = ((index >= 0) & (index < own.size)).all(-1)
    x, y, z = np.moveaxis(np.clip(index, 0, np.array(own.size) - 1), -1, 0)
    np.testing.assert_array_equal(mask.array, ball[z, y, x] & known)


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(BadMask, match="empty"):
        read_mask(sitk.Image([6, 6, 6], sitk.sitkUInt8), Geometry((6, 6, 6)))


def test_a_mask_somewhere_else_is_refused() -> None:
    elsewhere = Volume(np.ones((6, 6, 6), np.uint8), Geometry((6, 6, 6), origin=(500.0, 0.0, 0.0)), "liver.nrrd")
    with pytest.raises(BadMask, match=r"liver\.nrrd.*does not meet"):
        read_mask(elsewhere, Geometry((6, 6, 6)))


@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".nrrd"])
def test_a_written_volume_is_read_by_simpleitk(tmp_path: Path, oblique_geometry: Geometry, ending: str) -> None:
    voxels = np.random.default_rng(3).normal(size=oblique_geometry.shape).astype(np.float32)
    path = write_volume(Volume(voxels, oblique_geometry), tmp_path / f"out{ending}")
    image = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), voxels)
    assert Geometry.of(image).matches(oblique_geometry)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_written_mask_holds_zeros_and_ones(tmp_path: Path) -> None:
    inside = np.random.default_rng(4).random((5, 6, 7)) > 0.5
    path = write_volume(Volume(inside, Geometry((7, 6, 5))), tmp_path / "mask.nii.gz")
    image = sitk.ReadImage(str(path))
    assert image.GetPixelID() == sitk.sitkUInt8
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), inside)


@pytest.mark.parametrize("name", ["out.jpg", "out.mhd", "out"])
def test_an_ending_that_cannot_hold_a_scan_in_one_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputProblem, match=r"\.nii\.gz"):
        write_volume(Volume(np.zeros((4, 4, 4), np.int16), Geometry((4, 4, 4))), tmp_path / name)


def write_dicom_series(folder: Path, voxels: np.ndarray, series: int) -> None:
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for k, plane in enumerate(voxels):
        image = sitk.GetImageFromArray(plane)
        image.SetSpacing((0.8, 0.8))
        tags = {
            "0008|0060": "CT",
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
            "0008|0018": f"1.2.826.0.1.3680043.2.1125.{series}.{k + 1}",
            "0020|000d": "1.2.826.0.1.3680043.2.1125.9",
            "0020|000e": f"1.2.826.0.1.3680043.2.1125.9.{series}",
            "0020|0032": f"0\\0\\{3.0 * k}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
            "0020|0013": str(k),
            "0018|0050": "3",
            "0028|1052": "0",
            "0028|1053": "1",
        }
        for key, value in tags.items():
            image.SetMetaData(key, value)
        writer.SetFileName(str(folder / f"{series}_{k:03d}.dcm"))
        writer.Execute(image)
