"""Folders with two images that are no download of DIR-Lab, and the tables of the collections."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from DeepRegLib.datasets.dirlab_4dct import FOUR_D_CT
from DeepRegLib.datasets.dirlab_copdgene import COPDGENE
from DeepRegLib.datasets.load_pair import describe_pair, load_pair
from DeepRegLib.datasets.pair_folder import PairFiles, find_pair
from DeepRegLib.errors import BadInput, BadLandmarks
from DeepRegLib.evidence.landmarks import Landmarks, read_landmarks, target_registration_error, write_landmarks
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.transforms.linear import LinearTransform
from dirlab_files import breathing, write_list

IDENTITY = LinearTransform()
OBLIQUE = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]


@pytest.fixture(scope="module")
def patient():
    return breathing()


def touched(folder, *names):
    for name in names:
        (folder / name).touch()
    return folder


def write_image(path, volume):
    sitk.WriteImage(volume.to_sitk(), str(path))


@pytest.mark.parametrize(
    ("names", "fixed", "moving"),
    [
        (("inhale.nii.gz", "exhale.nii.gz"), "exhale.nii.gz", "inhale.nii.gz"),
        (("scan10.mha", "scan2.mha"), "scan2.mha", "scan10.mha"),
        (("B.nrrd", "a.nrrd"), "a.nrrd", "B.nrrd"),
        (("case1_T50.nii.gz", "case1_T00.nii.gz"), "case1_T00.nii.gz", "case1_T50.nii.gz"),
    ],
)
def test_two_scans_are_taken_in_alphabetical_order_with_a_note(tmp_path, names, fixed, moving):
    found = find_pair(touched(tmp_path, *names, "info.json", "readme.txt", "table.csv"))
    assert (found.fixed.name, found.moving.name) == (fixed, moving)
    assert found.fixed_landmarks is None
    assert f"'{fixed}' was taken as the fixed and '{moving}' as the moving one" in found.notes[0]


@pytest.mark.parametrize("names", [("fixed.mha", "exhale.mha"), ("inhale.mha", "a moving scan.mha")])
def test_one_scan_that_says_its_role_tells_that_of_the_other(tmp_path, names):
    found = find_pair(touched(tmp_path, *names))
    assert (found.fixed.name, found.moving.name, found.notes) == (*names, ())


def test_the_role_of_the_first_scan_in_the_alphabet_may_be_moving(tmp_path):
    found = find_pair(touched(tmp_path, "a_moving.mha", "b.mha"))
    assert (found.fixed.name, found.moving.name) == ("b.mha", "a_moving.mha")


def test_masks_and_landmarks_belong_to_the_scan_they_share_a_word_with(tmp_path):
    names = ("patient_exhale.nii.gz", "patient_inhale.nii.gz", "lung_mask_inhale.nii.gz", "patient_exhale_mask.mha")
    lists = ("Patient_Exhale.mrk.json", "inhale landmarks.fcsv", "exhale_report.txt", "inhale_doses.csv")
    found = find_pair(touched(tmp_path, *names, *lists))
    assert found == PairFiles(
        *(tmp_path / name for name in (names[0], names[1], names[3], names[2], lists[0], lists[1])), notes=found.notes
    )


def test_a_word_may_be_the_beginning_of_another(tmp_path):
    names = ("copd1_eBHCT.nrrd", "copd1_iBHCT.nrrd", "copd1_300_eBH_xyz_r1.txt", "copd1_300_iBH_xyz_r1.txt")
    found = find_pair(touched(tmp_path, *names))
    assert found.fixed_landmarks == tmp_path / names[2]
    assert found.moving_landmarks == tmp_path / names[3]


def test_two_folders_of_slices_are_a_pair_but_one_beside_two_images_is_none(tmp_path):
    for name in ("exhale", "inhale"):
        (tmp_path / name).mkdir()
    assert find_pair(tmp_path).moving == tmp_path / "inhale"
    touched(tmp_path, "a.mha", "b.mha")
    assert find_pair(tmp_path).fixed == tmp_path / "a.mha"


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("a.mha", "b.mha", "c.mha"), "holds 3 scans"),
        (("a.mha",), "holds no fixed scan"),
        ((), "holds no fixed scan"),
        (("a.mha", "b.mha", "a_mask.mha", "mask-a.nii"), "More than one mask is called fixed"),
        (("a.mha", "b.mha", "b_landmarks.csv"), "'b_landmarks.csv' has no partner"),
    ],
)
def test_folders_without_a_clear_pair_are_refused(tmp_path, names, sentence):
    with pytest.raises(BadInput, match=sentence):
        find_pair(touched(tmp_path, *names))


def test_the_pair_is_loaded_with_everything_and_described_before(tmp_path, patient):
    phantom = patient.phantom
    for name, scan, mask, points in (
        ("inhale", phantom.fixed, phantom.fixed_mask, phantom.fixed_landmarks),
        ("exhale", phantom.moving, phantom.moving_mask, phantom.moving_landmarks),
    ):
        write_image(tmp_path / f"{name}.nii.gz", scan)
        write_image(tmp_path / f"{name}_mask.nii.gz", mask)
        write_landmarks(tmp_path / f"{name}.mrk.json", Landmarks(points))
    described = describe_pair(tmp_path, swap=True)
    assert (described.kind, described.fixed.name, described.notes) == ("files", "inhale", ())
    pair = load_pair(tmp_path, swap=True)
    assert (pair.name, pair.fixed.name, pair.moving.name) == (tmp_path.name, "inhale", "exhale")
    assert np.array_equal(pair.fixed.array, phantom.fixed.array)
    assert np.array_equal(pair.moving_mask.array, phantom.moving_mask.array > 0)
    before = target_registration_error(IDENTITY, pair.fixed_landmarks, pair.moving_landmarks)
    truth = np.linalg.norm(phantom.fixed_landmarks - phantom.moving_landmarks, axis=1)
    assert before == pytest.approx(truth, abs=1e-6)


def upside_down(scan):
    """What a header without a direction makes of a raw file: the first slice, the top one, at the bottom."""
    return Volume(np.ascontiguousarray(scan.array[::-1]), Geometry(scan.geometry.size, scan.geometry.spacing))


def slices_down(scan):
    """The same voxels in the order of the raw file, with a header that says so."""
    size, spacing = scan.geometry.size, scan.geometry.spacing
    top = (0.0, 0.0, (size[2] - 1) * spacing[2])
    return Volume(
        np.ascontiguousarray(scan.array[::-1]), Geometry(size, spacing, top, (1.0, 0, 0, 0, 1.0, 0, 0, 0, -1.0))
    )


@pytest.mark.parametrize("header", [lambda scan: scan, slices_down, upside_down])
def test_lists_of_voxels_find_their_places_in_converted_scans(tmp_path, patient, header):
    """Whatever became of the order of slices: the grey value under each point is the one that was clicked."""
    slices = patient.grid.size[2]
    parts = (("T00", patient.fixed, patient.fixed_voxels), ("T50", patient.moving, patient.moving_voxels))
    for phase, scan, voxels in parts:
        write_image(tmp_path / f"case1_{phase}.nii.gz", header(scan))
        write_list(tmp_path / f"Case1_300_{phase}_xyz.txt", voxels, slices, separator=" ")
    pair = load_pair(tmp_path)
    before = target_registration_error(IDENTITY, pair.fixed_landmarks, pair.moving_landmarks)
    assert before == pytest.approx(patient.distances(), abs=1e-4)
    for scan, points, (_, truth, voxels) in zip(
        (pair.fixed, pair.moving), (pair.fixed_landmarks, pair.moving_landmarks), parts, strict=True
    ):
        x, y, z = np.rint(scan.geometry.to_index(points.points)).astype(int).T
        assert np.array_equal(scan.array[z, y, x], truth.array[voxels[:, 2], voxels[:, 1], voxels[:, 0]])


def test_a_list_of_elastix_says_whether_it_holds_millimetres_or_voxels(tmp_path):
    image = Volume(np.zeros((8, 9, 10), np.int16), Geometry((10, 9, 8), (0.5, 2, 3), (5, 6, 7), tuple(OBLIQUE.ravel())))
    (tmp_path / "mm.txt").write_text("point\n2\n1.5 -2 3e1\n4 5 6\n")
    (tmp_path / "voxels.txt").write_text("index\n2\n0 0 0\n2 3 4\n")
    assert read_landmarks(tmp_path / "mm.txt").points.tolist() == [[1.5, -2, 30], [4, 5, 6]]
    truth = [image.to_sitk().TransformIndexToPhysicalPoint(index) for index in ((0, 0, 0), (2, 3, 4))]
    assert read_landmarks(tmp_path / "voxels.txt", image).points == pytest.approx(np.array(truth))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("point\n3\n1 2 3\n", "announces 3 points and holds 1"),
        ("point", "announces no number of points and holds 0"),
        ("index\n1\n1 2 3", "lists voxels; the image that they are of is needed"),
        ("1 2 3", "lists voxels"),
        ("point\n1\n1 2\n", "Row 1 .* does not hold three numbers"),
        ("", "holds no landmarks"),
    ],
)
def test_lists_that_cannot_be_used_are_refused(tmp_path, text, sentence):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(BadLandmarks, match=sentence):
        read_landmarks(tmp_path / "a.txt")


def test_voxels_of_an_image_without_axial_slices_are_refused(tmp_path):
    sagittal = Geometry((10, 9, 8), direction=(0, 0, 1.0, 1.0, 0, 0, 0, 1.0, 0))
    (tmp_path / "a.txt").write_text("1 2 3")
    with pytest.raises(BadLandmarks, match="axial slices"):
        read_landmarks(tmp_path / "a.txt", Volume(np.zeros((8, 9, 10), np.int16), sagittal))


@pytest.mark.parametrize(
    ("collection", "case", "size", "spacing"),
    [
        (FOUR_D_CT, 1, 256 * 256 * 94 * 2, (0.97, 0.97, 2.5)),
        (FOUR_D_CT, 4, 256 * 256 * 99 * 2, (1.13, 1.13, 2.5)),
        (FOUR_D_CT, 7, 512 * 512 * 136 * 2, (0.97, 0.97, 2.5)),
        (COPDGENE, 4, 512 * 512 * 126 * 2, (0.59, 0.59, 2.5)),
        (COPDGENE, 10, 512 * 512 * 135 * 2, (0.742, 0.742, 2.5)),
    ],
)
def test_the_tables_hold_what_dirlab_publishes(collection, case, size, spacing):
    geometry = collection.cases[case]
    assert 2 * geometry.voxel_count == size
    assert geometry.spacing == spacing
    assert sorted(collection.cases) == list(range(1, 11))
