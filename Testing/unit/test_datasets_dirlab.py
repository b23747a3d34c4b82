"""Cases of DIR-Lab in every form in which they are found on disks, right to the voxel."""

from __future__ import annotations

import numpy as np
import pytest
from DeepRegLib.datasets.dirlab_4dct import FOUR_D_CT
from DeepRegLib.datasets.dirlab_copdgene import COPDGENE
from DeepRegLib.datasets.load_pair import describe_pair, load_pair, load_pair_in_steps
from DeepRegLib.errors import BadInput, BadLandmarks
from DeepRegLib.evidence.landmarks import snapped_errors, target_registration_error
from DeepRegLib.images.volume import Volume
from DeepRegLib.steps import finish
from DeepRegLib.transforms.linear import LinearTransform
from dirlab_files import AIR_HU, breathing, write_list, write_raw

FIRST_CASES = "Case{n}Pack/ExtremePhases/Case{n}_300_{p}_xyz.txt"
LAST_CASES = "Case{n}Pack/extremePhases/case{n}_dirLab300_{p}_xyz.txt"
FOUR_D_CT_FORMS = {
    "case 1": (1, "Case1Pack/Images/case{n}_{p}_s.img", FIRST_CASES),
    "case 2": (2, "Case2Pack/Images/case{n}_{p}-ssm.img", FIRST_CASES),
    "case 5 of another pack": (5, "Case5Pack/Images/case{n}_{p}_s.img", FIRST_CASES),
    "case 6": (6, "Case6Pack/Images/case{n}_{p}.img", LAST_CASES),
    "case 8": (8, "Case8Deploy/Images/case{n}_{p}.img", "Case8Deploy/extremePhases/case{n}_dirLab300_{p}_xyz.txt"),
    "case 10": (10, "Case10Pack/Images/case{n}_{p}.img", LAST_CASES),
    "packs in packs": (3, "Case3Pack/Case3Pack/Images/case{n}_{p}-ssm.img", "Case3Pack/" + FIRST_CASES),
    "last case renamed as the first": (7, "images/case{n}_{p}.img", "landmarks/Case{n}_300_{p}_xyz.txt"),
    "all in one folder, other letters": (4, "CASE{n}_{p}.IMG", "case{n}_300_{p}_XYZ.TXT"),
    "number in the folder only": (9, "Case9Pack/{p}.img", "Case9Pack/300_{p}_xyz.txt"),
}
COPDGENE_FORMS = {
    "as downloaded": (1, "copd1/copd{n}_{p}BHCT.img", "copd1/copd{n}/copd{n}_300_{p}BH_xyz_r1.txt"),
    "case 10, other letters": (10, "COPD{n}_{p}bhct.IMG", "copd{n}_300_{p}bh_XYZ_R1.txt"),
}
IDENTITY = LinearTransform()


@pytest.fixture(scope="module")
def patient():
    return breathing()


@pytest.fixture(autouse=True)
def small_cases(monkeypatch, patient):
    """All cases have the small grid of the phantom; those of COPDgene as well."""
    for collection in (FOUR_D_CT, COPDGENE):
        for case in collection.cases:
            monkeypatch.setitem(collection.cases, case, patient.grid)


def write_case(folder, patient, form, phases=("T00", "T50")):
    case, scan_name, list_name = form
    slices = patient.grid.size[2]
    parts = ((patient.fixed, patient.fixed_voxels), (patient.moving, patient.moving_voxels))
    for phase, (scan, voxels) in zip(phases, parts, strict=True):
        write_raw(folder / scan_name.format(n=case, p=phase), scan)
        write_list(folder / list_name.format(n=case, p=phase), voxels, slices)
    return folder


def check_pair_against(pair, patient):
    before = target_registration_error(IDENTITY, pair.fixed_landmarks, pair.moving_landmarks)
    assert before == pytest.approx(patient.distances(), abs=1e-9)
    mapped = patient.map_points(pair.fixed_landmarks.points)
    assert snapped_errors(mapped, pair.moving_landmarks, pair.moving.geometry) == pytest.approx(0, abs=1e-9)
    after = np.abs(mapped - pair.moving_landmarks.points)
    assert (after <= 0.5 * np.array(patient.grid.spacing) + 1e-9).all()
    for scan, truth in ((pair.fixed, patient.fixed), (pair.moving, patient.moving)):
        expected = np.maximum(truth.array, AIR_HU)
        expected[:, :3, :3] = AIR_HU
        assert scan.array.dtype == np.int16
        assert np.array_equal(scan.array, expected)
        assert scan.geometry == patient.grid


@pytest.mark.parametrize("form", FOUR_D_CT_FORMS)
def test_a_4dct_case_is_read_right_to_the_voxel(tmp_path, patient, form):
    number, *_ = FOUR_D_CT_FORMS[form]
    pair = load_pair(write_case(tmp_path, patient, FOUR_D_CT_FORMS[form]))
    assert pair.name == f"DIR-Lab 4DCT case {number}"
    assert (pair.fixed.name, pair.moving.name) == (f"case {number} T00", f"case {number} T50")
    check_pair_against(pair, patient)


@pytest.mark.parametrize("form", COPDGENE_FORMS)
def test_a_copdgene_case_is_read_right_to_the_voxel(tmp_path, patient, form):
    number, *_ = COPDGENE_FORMS[form]
    pair = load_pair(write_case(tmp_path, patient, COPDGENE_FORMS[form], phases=("i", "e")))
    assert pair.name == f"DIR-Lab COPDgene case {number}"
    assert (pair.fixed.name, pair.moving.name) == (f"case {number} inhale", f"case {number} exhale")
    check_pair_against(pair, patient)


def test_the_apex_of_the_lung_is_up(tmp_path, patient):
    """The diaphragm moves up when the patient breathes out: DIR-Lab's own proof of the direction of its slices."""
    pair = load_pair(write_case(tmp_path, patient, FOUR_D_CT_FORMS["case 1"]))
    truth = patient.phantom
    assert pair.fixed.geometry.axes.tolist() == np.eye(3).tolist()
    moves = pair.moving_landmarks.points - pair.fixed_landmarks.points
    table = truth.motion.table.translation[2]
    expected = (truth.moving_landmarks - truth.fixed_landmarks)[:, 2].mean() - table
    assert moves[:, 2].mean() - table > 2 and expected > 2
    assert np.corrcoef(moves[:, 2], pair.fixed_landmarks.points[:, 2])[0, 1] < -0.5


def test_fixed_and_moving_are_exchanged_on_request(tmp_path, patient):
    folder = write_case(tmp_path, patient, FOUR_D_CT_FORMS["case 1"])
    pair = load_pair(folder, swap=True)
    by_phase = load_pair(folder, phases=("t50", "t00"))
    assert pair.fixed.name == by_phase.fixed.name == "case 1 T50"
    assert np.array_equal(pair.fixed.array, by_phase.fixed.array)
    before = target_registration_error(IDENTITY, pair.fixed_landmarks, pair.moving_landmarks)
    assert before == pytest.approx(patient.distances(), abs=1e-9)


def test_other_phases_come_with_their_75_landmarks(tmp_path, patient):
    write_case(tmp_path, patient, (1, "Images/case{n}_{p}_s.img", FIRST_CASES))
    form = (1, "Images/case{n}_{p}_s.img", "Case1Pack/Sampled4D/case{n}_4D-75_{p}.txt")
    write_case(tmp_path, patient, form, phases=("T10", "T40"))
    pair = load_pair(tmp_path, phases=("T10", "T40"))
    assert (pair.fixed.name, pair.moving_landmarks.name) == ("case 1 T10", "case1_4D-75_T40.txt")
    check_pair_against(pair, patient)
    assert load_pair(tmp_path).fixed_landmarks.name == "Case1_300_T00_xyz.txt"


def test_the_75_landmarks_are_taken_where_they_are_wanted(tmp_path, patient):
    write_case(tmp_path, patient, FOUR_D_CT_FORMS["case 1"])
    form = (1, "Case1Pack/Images/case{n}_{p}_s.img", "Case1Pack/Sampled4D/case{n}_4D-75_{p}.txt")
    write_case(tmp_path, patient, form)
    assert load_pair(tmp_path, points=75).fixed_landmarks.name == "case1_4D-75_T00.txt"
    assert load_pair(tmp_path, points=300).fixed_landmarks.name == "Case1_300_T00_xyz.txt"
    with pytest.raises(BadLandmarks, match="lists of 300 and 75 landmarks, not 60"):
        load_pair(tmp_path, points=60)


def test_a_number_that_no_name_tells_is_asked_for_and_accepted(tmp_path, patient):
    write_case(tmp_path, patient, (2, "{p}.img", "300_{p}_xyz.txt"))
    with pytest.raises(BadInput, match="do not tell which case") as refused:
        describe_pair(tmp_path)
    assert "By its size it could be case 1 or 2" in refused.value.hint
    check_pair_against(load_pair(tmp_path, case=2), patient)


def test_one_case_is_chosen_among_several(tmp_path, patient):
    for form in ("case 1", "case 6", "number in the folder only"):
        write_case(tmp_path, patient, FOUR_D_CT_FORMS[form])
    with pytest.raises(BadInput, match="holds the cases 1, 6 and 9 of DIR-Lab 4DCT"):
        load_pair(tmp_path)
    assert load_pair(tmp_path, case=6).name == "DIR-Lab 4DCT case 6"
    assert "Case9Pack" in str(describe_pair(tmp_path, case=9).fixed.image)
    with pytest.raises(BadInput, match="holds case 1, 6 and 9 of DIR-Lab 4DCT, not case 3"):
        load_pair(tmp_path, case=3)


def test_empty_slices_at_the_ends_are_cut_and_everything_else_stays_in_place(tmp_path, patient):
    form = COPDGENE_FORMS["as downloaded"]
    write_case(tmp_path, patient, form, phases=("i", "e"))
    slices = patient.grid.size[2]
    below = patient.moving_voxels[:, 2].min() - 1
    padded = Volume(patient.moving.array.copy(), patient.moving.geometry)
    padded.array[:below] = -1024  # raw zeros below the lungs, and one slice on top
    padded.array[-1] = -1024
    write_raw(tmp_path / form[1].format(n=1, p="e"), padded, padding=False)
    pair = load_pair(tmp_path)
    assert pair.moving.geometry.size[2] == slices - below - 1
    assert pair.moving.geometry.origin[2] == pytest.approx(below * patient.grid.spacing[2])
    assert np.array_equal(pair.moving.array, np.maximum(padded.array[below:-1], AIR_HU))
    before = target_registration_error(IDENTITY, pair.fixed_landmarks, pair.moving_landmarks)
    assert before == pytest.approx(patient.distances(), abs=1e-9)
    assert pair.notes == (f"{below + 1} empty slices were cut off 'copd1_eBHCT.img'.",)


def test_reading_in_steps_gives_the_same_in_small_pieces(tmp_path, patient, monkeypatch):
    folder = write_case(tmp_path, patient, FOUR_D_CT_FORMS["case 1"])
    monkeypatch.setattr("DeepRegLib.datasets.raw_scan.VOXELS_PER_STEP", 10_000)
    steps = 0

    def counted():
        nonlocal steps
        running = load_pair_in_steps(folder)
        while True:
            try:
                next(running)
            except StopIteration as end:
                return end.value
            steps += 1
            yield

    check_pair_against(finish(counted()), patient)
    assert steps > 2 * patient.grid.voxel_count // 10_000


def test_what_is_described_is_what_is_loaded_and_no_voxel_is_read(tmp_path, patient, monkeypatch):
    folder = write_case(tmp_path, patient, FOUR_D_CT_FORMS["case 8"])
    monkeypatch.setattr(np, "memmap", lambda *args, **kwargs: pytest.fail("a scan was opened"))
    found = describe_pair(folder)
    assert (found.kind, found.name, found.notes) == ("dirlab-4dct", "DIR-Lab 4DCT case 8", ())
    assert found.fixed.image == folder / "Case8Deploy/Images/case8_T00.img"
    assert found.fixed.raw == patient.grid
    assert found.moving.landmarks == folder / "Case8Deploy/extremePhases/case8_dirLab300_T50_xyz.txt"


def test_a_scan_of_the_wrong_size_is_refused_with_both_sizes(tmp_path, patient):
    folder = write_case(tmp_path, patient, FOUR_D_CT_FORMS["case 6"])
    scan = folder / "Case6Pack/Images/case6_T50.img"
    scan.write_bytes(scan.read_bytes()[:-2])
    bytes_ = 2 * patient.grid.voxel_count
    with pytest.raises(BadInput, match=r"'case6_T50\.img' has") as refused:
        describe_pair(folder)
    assert f"{bytes_ - 2:,} bytes" in str(refused.value) and f"{bytes_:,} bytes" in str(refused.value)
    assert "incomplete" in refused.value.hint


def test_a_scan_of_another_case_is_recognised_by_its_size(tmp_path, patient, monkeypatch):
    folder = write_case(tmp_path, patient, (2, "{p}.img", "300_{p}_xyz.txt"))
    x, y, z = patient.grid.size
    for case in FOUR_D_CT.cases:
        if case != 4:
            other = type(patient.grid)((x, y, z + case), patient.grid.spacing)
            monkeypatch.setitem(FOUR_D_CT.cases, case, other)
    with pytest.raises(BadInput, match="a scan of DIR-Lab 4DCT case 2 has") as refused:
        describe_pair(folder, case=2)
    assert "size of case 4" in refused.value.hint


def test_landmarks_in_one_phase_only_are_refused(tmp_path, patient):
    folder = write_case(tmp_path, patient, FOUR_D_CT_FORMS["case 1"])
    (folder / "Case1Pack/ExtremePhases/Case1_300_T50_xyz.txt").unlink()
    with pytest.raises(BadLandmarks, match=r"T00_xyz\.txt' has no partner: the landmarks of T50 are missing"):
        describe_pair(folder)


def test_without_landmarks_the_scans_are_read_with_a_note(tmp_path, patient):
    folder = write_case(tmp_path, patient, FOUR_D_CT_FORMS["case 1"])
    for phase in ("T00", "T50"):
        (folder / f"Case1Pack/ExtremePhases/Case1_300_{phase}_xyz.txt").unlink()
    pair = load_pair(folder)
    assert pair.fixed_landmarks is None and pair.moving_landmarks is None
    assert "no landmarks for T00 and T50" in pair.notes[0]
    with pytest.raises(BadLandmarks, match="no list of 300 landmarks"):
        load_pair(folder, points=300)


def test_landmarks_of_another_case_are_refused(tmp_path, patient):
    folder = write_case(tmp_path, patient, (1, "case1_{p}_s.img", "Case2_300_{p}_xyz.txt"))
    with pytest.raises(BadLandmarks, match="scans are those of DIR-Lab 4DCT case 1, the landmarks those of case 2"):
        describe_pair(folder)


def test_lists_of_unequal_length_are_refused(tmp_path, patient):
    folder = write_case(tmp_path, patient, FOUR_D_CT_FORMS["case 1"])
    short = folder / "Case1Pack/ExtremePhases/Case1_300_T50_xyz.txt"
    short.write_text("\n".join(short.read_text().splitlines()[:-1]))
    with pytest.raises(BadLandmarks, match=r"Case1_300_T50_xyz\.txt' has \d+"):
        load_pair(folder)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("1\t2\t1000", r"Row 1 .* is voxel 1, 2, 1000; the image has 64 x 56 x 48 voxels"),
        ("0 5 5", "is voxel 0, 5, 5"),
        ("1.5 2 3", "is no voxel"),
        ("1 2", "does not hold three numbers"),
        ("", "holds no landmarks"),
    ],
)
def test_lists_that_are_none_are_refused_by_row(tmp_path, patient, line, sentence):
    folder = write_case(tmp_path, patient, FOUR_D_CT_FORMS["case 1"])
    (folder / "Case1Pack/ExtremePhases/Case1_300_T00_xyz.txt").write_text(line)
    with pytest.raises(BadLandmarks, match=sentence):
        load_pair(folder)


def test_two_scans_of_one_phase_are_refused_but_copies_are_not(tmp_path, patient):
    folder = write_case(tmp_path, patient, FOUR_D_CT_FORMS["case 1"])
    write_case(tmp_path / "copy", patient, FOUR_D_CT_FORMS["case 1"])
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "case1_T00_s.img").write_bytes(b"resource fork")
    assert load_pair(folder).name == "DIR-Lab 4DCT case 1"
    write_raw(folder / "case1_T00.img", patient.fixed)
    with pytest.raises(BadInput, match="more than one scan of T00"):
        load_pair(folder)


def test_a_missing_phase_is_named_with_those_that_are_there(tmp_path, patient):
    folder = write_case(tmp_path, patient, FOUR_D_CT_FORMS["case 1"])
    with pytest.raises(BadInput, match="holds no scan of T30 of DIR-Lab 4DCT case 1; it holds T00, T50"):
        describe_pair(folder, phases=("T00", "T30"))
    with pytest.raises(BadInput, match="no phase 'inhale'"):
        describe_pair(folder, phases=("inhale", "exhale"))
    with pytest.raises(BadInput, match="both T00"):
        describe_pair(folder, phases=("T00", "T00"))


def test_case_numbers_beyond_the_collection_are_refused(tmp_path, patient):
    folder = write_case(tmp_path, patient, (11, "case{n}_{p}.img", "Case{n}_300_{p}_xyz.txt"))
    with pytest.raises(BadInput, match="has no case 11; its cases are 1 to 10"):
        describe_pair(folder)
    with pytest.raises(BadInput, match="has no case 0"):
        describe_pair(folder, case=0)


def test_an_empty_scan_is_refused(tmp_path, patient):
    folder = write_case(tmp_path, patient, FOUR_D_CT_FORMS["case 1"])
    np.zeros(patient.grid.voxel_count, "<i2").tofile(folder / "Case1Pack/Images/case1_T50_s.img")
    with pytest.raises(BadInput, match=r"'case1_T50_s.img' holds the same value everywhere"):
        load_pair(folder)
