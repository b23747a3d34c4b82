"""The report: complete, self-contained, true to its numbers, and safe whatever a file is called."""

import base64
import re
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
from DeepRegLib.errors import OutputProblem
from DeepRegLib.evidence import pictures
from DeepRegLib.evidence.charts import before_and_after, grid_lines, histogram
from DeepRegLib.evidence.landmarks import Landmarks
from DeepRegLib.evidence.planes import three_planes
from DeepRegLib.evidence.report import render_report, write_report
from DeepRegLib.evidence.verdict import verdict_of
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.volume import Volume
from DeepRegLib.transforms.displacement_field import DisplacementField
from DeepRegLib.transforms.linear import LinearTransform

pytest.importorskip("jinja2")

GRID = Geometry((40, 36, 30), (2.0, 2.0, 3.0), (-40, -36, 100))
NASTY = '<script>alert("x")</script> & co.mha'


def registration(**changes):
    """A ball that moved by 6 mm to the left of the patient, registered exactly."""
    points = GRID.points()

    def ball(centre):
        return np.where(np.linalg.norm(points - centre, axis=-1) < 25, 60, -900).astype(np.int16)

    shift = np.array([6.0, 0, 0])
    fixed = Volume(ball(GRID.centre), GRID)
    moving = Volume(ball(GRID.centre + shift), GRID)
    landmarks = Landmarks(GRID.centre + np.array([[0, 0, 0], [10.0, 0, 0], [0, -10, 0]]), ("mid", NASTY, "front"))
    after = {"mean_mm": 1.25, "sd_mm": 0.5, "median_mm": 1.0, "p95_mm": 2.0, "max_mm": 2.5}
    everything = {
        "fixed": fixed,
        "warped": fixed,
        "moving": moving,
        "transform": LinearTransform(translation=shift).to_field(GRID),
        "prealignment": LinearTransform(),
        "fixed_region": Volume(fixed.array > 0, GRID),
        "fixed_landmarks": landmarks,
        "moving_landmarks": Landmarks(landmarks.points + shift + np.array([[0, 0, 0], [0, 3, 4], [0, 0, 1]])),
        "evidence": {
            "software": {"SlicerDeepReg": "0.1.0", "torch": "2.13.0"},
            "fixed": {"name": NASTY, "size": (40, 36, 30), "spacing_mm": (2.0, 2.0, 3.0)},
            "moving": {"name": "moving.mha", "size": (40, 36, 30), "spacing_mm": (2.0, 2.0, 3.0)},
            "method": "lungs",
            "requested_method": "auto",
            "quality": "balanced",
            "seed": 17,
            "device": "cpu",
            "threads": 2,
            "start": {"chosen": "none", "candidates": [{"name": "none", "similarity": 0.8125}]},
            "region": {"kind": "lungs", "volume_ml": 3364.2},
            "prealignment": {"matrix": np.eye(3).tolist(), "translation": [1.0, -2.0, 33.5]},
            "landmarks": {"count": 3, "before": {**after, "mean_mm": 7.2}, "after": after, "after_snapped": after},
            "folding_percent": 0.0,
            "jacobian": {"min": 0.9, "p1": 0.95, "p99": 1.05, "max": 1.1, "sd_log": 0.0123},
            "displacement": {"mean_mm": 6.0, "p95_mm": 6.1, "max_mm": 6.2},
            "similarity": {"before": 0.2, "after": 0.95},
            "seconds": {"read": 0.1, "refine": 1.5, "total": 1.75},
            "peak_memory_mb": 512.4,
            "warnings": ["The lungs are <cut off> at the top."],
        },
    }
    return SimpleNamespace(**{**everything, **changes})


def embedded_images(text):
    return re.findall(r'href="data:image/png;base64,([^"]+)"', text)


def test_the_report_is_one_small_file_that_asks_the_net_for_nothing(tmp_path):
    path = write_report(tmp_path / "report.html", registration())
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    text = path.read_text(encoding="utf-8")
    assert path.stat().st_size < 2_500_000
    assert not re.search(r"https?:|//[a-z]|@import|<link|<script|url\(", re.sub(r"base64,[^\"]+", "", text))
    assert "prefers-color-scheme: dark" in text


def test_names_labels_and_warnings_cannot_inject_anything(tmp_path):
    text = render_report(registration())
    assert "<script" not in text and "<cut off>" not in text
    assert text.count("&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt; &amp; co.mha") >= 4  # title, table, chart, worst
    assert "&lt;cut off&gt;" in text


def test_every_number_of_the_evidence_is_shown():
    text = render_report(registration())
    for words in (
        "Mean landmark error: 7.2 mm before, 1.2 mm after",
        "No folding in the lungs",
        "40 × 36 × 30",
        "2.00 × 2.00 × 3.00",
        "3364 ml",
        "lungs (asked for: auto)",
        "balanced",
        "0.812",
        "shift 1.0, -2.0, 33.5 mm",
        "0.200 before, 0.950 after",
        "0.012",
        "1.50 s",
        "512 MB",
        "2.13.0",
        "<td>17</td>",
        "98 % between 0.95 and 1.05",
    ):
        assert words in text, words


def test_the_worst_landmark_comes_first_in_its_own_place():
    text = render_report(registration())
    rows = re.findall(r"<tr><td>([^<]+)</td><td>([RL] [^<]+)</td><td[^>]+>([\d.]+)</td><td[^>]+>([\d.]+)", text)
    centre = GRID.centre
    assert [float(row[3]) for row in rows] == [5.0, 1.0, 0.0]
    assert rows[0][1] == f"L {centre[0] + 10:.1f}, A {abs(centre[1]):.1f}, S {centre[2]:.1f}"
    assert float(rows[0][2]) == pytest.approx(np.linalg.norm([6, 3, 4]), abs=0.05)


def test_an_exact_registration_is_grey_and_a_shift_is_coloured(tmp_path):
    images = []
    for number, data in enumerate(embedded_images(render_report(registration()))):
        path = tmp_path / f"{number}.png"
        path.write_bytes(base64.b64decode(data))
        images.append(sitk.GetArrayFromImage(sitk.ReadImage(str(path))).astype(int))
    assert len(images) == 15  # three planes: before, after, grid, motion, stretch
    axial_before, axial_after = images[0], images[3]
    difference = axial_before[..., 0] - axial_before[..., 1]
    height, width = difference.shape
    # The moving ball lies 6 mm to the patient's left, which is the right of the picture: green there, magenta opposite.
    row = difference[height // 2]
    assert row[width // 2 :].min() < -100 and row[: width // 2].max() > 100
    assert (axial_after[..., 0] == axial_after[..., 2]).all()
    covered = slice(0, int(0.9 * width))  # at the left edge of the patient the moving scan ends
    assert np.abs(axial_after[..., 0] - axial_after[..., 1])[:, covered].max() <= 1


@pytest.mark.parametrize(
    "missing",
    [
        {"evidence": {}},
        {"fixed_landmarks": None, "moving_landmarks": None},
        {"fixed_region": None},
        {"prealignment": None, "evidence": {"folding_percent": 0.5}},
        {"fixed_region": Volume(np.zeros(GRID.shape, bool), GRID)},
    ],
)
def test_whatever_is_missing_is_simply_not_shown(missing):
    text = render_report(registration(**missing))
    assert len(embedded_images(text)) == 15
    assert "None" not in text and "Undefined" not in text


def test_every_single_key_of_the_evidence_may_be_missing():
    whole = registration().evidence
    for key in whole:
        text = render_report(registration(evidence={k: v for k, v in whole.items() if k != key}))
        assert "None" not in text, key


def test_a_flat_image_is_reported_in_one_plane():
    flat = Geometry((40, 36, 1), (2.0, 2.0, 1.0))
    image = Volume(np.random.default_rng(0).integers(0, 100, flat.shape).astype(np.int16), flat)
    text = render_report(
        registration(
            fixed=image,
            warped=image,
            moving=image,
            transform=DisplacementField.zero(flat),
            fixed_region=None,
            fixed_landmarks=None,
            moving_landmarks=None,
        )
    )
    assert len(embedded_images(text)) == 5


def test_scans_that_header_positions_keep_apart_are_shown_pre_aligned():
    far = Geometry(GRID.size, GRID.spacing, (1000, 1000, 1000))
    shift = np.array(far.origin) - np.array(GRID.origin)
    given = registration()
    given.moving = Volume(given.fixed.array, far)
    given.prealignment = LinearTransform(translation=shift)
    given.transform = given.prealignment.to_field(GRID)
    assert "by the pre-alignment" in render_report(given)


def test_what_the_pre_alignment_explains_is_not_drawn_as_motion():
    prealignment = LinearTransform(np.diag([1.1, 0.95, 1.05]), np.array([10.0, 20, -30]))
    text = render_report(registration(prealignment=prealignment, transform=prealignment.to_field(GRID)))
    lines = re.findall(r'<polyline points="([^"]+)"', text)
    for line in lines:
        xs, ys = (np.array([float(pair.split(",")[k]) for pair in line.split()]) for k in (0, 1))
        # straight, and from one edge of the picture to the other: not shifted, not stretched
        assert min(np.ptp(xs), np.ptp(ys)) <= 0.1
        assert min(xs[0], ys[0]) == pytest.approx(0.5, abs=0.1)
    assert len(lines) > 10


def test_a_folder_that_is_not_there_is_explained_and_nothing_is_left(tmp_path):
    with pytest.raises(OutputProblem, match="cannot be written"):
        write_report(tmp_path / "missing" / "report.html", registration())
    assert list(tmp_path.iterdir()) == []


def landmarks(before, after, worst=3.0):
    return {
        "landmarks": {
            "count": 9,
            "before": {"mean_mm": before},
            "after": {"mean_mm": after, "p95_mm": 2.0, "max_mm": worst},
        }
    }


@pytest.mark.parametrize(
    ("evidence", "level"),
    [
        (landmarks(9.0, 1.4), "good"),
        (landmarks(9.0, 3.4), "look"),
        (landmarks(1.0, 1.2), "bad"),
        ({**landmarks(9.0, 1.4), "folding_percent": 0.05}, "good"),
        ({**landmarks(9.0, 1.4), "folding_percent": 2.0}, "look"),
        ({"similarity": {"before": 0.2, "after": 0.8}}, "plain"),
        ({"similarity": {"before": 0.2, "after": 0.21}}, "look"),
        ({"similarity": {"before": 0.8, "after": 0.2}}, "bad"),
        ({"similarity": {"before": 0.2, "after": 0.8}, "folding_percent": 2.0}, "look"),
        ({}, "plain"),
    ],
)
def test_the_verdict_follows_the_evidence(evidence, level):
    assert verdict_of(evidence).level == level


def test_without_landmarks_the_verdict_never_claims_accuracy():
    verdict = verdict_of({"similarity": {"before": 0.2, "after": 0.99}})
    assert verdict.level != "good" and any("no landmarks" in sentence for sentence in verdict.details)


def test_a_single_bad_landmark_is_pointed_at():
    assert "look at it" in " ".join(verdict_of(landmarks(9.0, 1.4, worst=14.5)).details)
    assert "look at it" not in " ".join(verdict_of(landmarks(9.0, 1.4, worst=3.0)).details)


def test_grid_lines_are_moved_by_the_displacement_in_pixels():
    plane = three_planes(Geometry((60, 60, 40), (1.0, 1.0, 1.0)))[1]  # coronal: right is L, down is feet
    still = grid_lines(plane, np.zeros((*plane.points.shape[:2], 3)))
    moved = grid_lines(plane, np.broadcast_to([2.0, 50.0, -3.0], plane.points.shape))

    def places(lines):
        return np.array([[float(v) for v in pair.split(",")] for line in lines for pair in line.split()])

    step = np.array([2.0, 3.0]) / plane.pixel_mm  # 2 mm to the left, 3 mm towards the feet; depth is not seen
    assert np.allclose(places(moved) - places(still), step, atol=0.11)
    assert len({pair.split(",")[1] for pair in still[0].split()}) == 1  # an unmoved line is straight


def test_the_histogram_counts_every_landmark_once():
    errors = np.random.default_rng(0).gamma(2, 1.3, 300)
    chart = histogram(errors)
    counts = [int(re.search(r": (\d+) landmark", bar[4]).group(1)) for bar in chart.bars]
    assert sum(counts) == 300
    heights = np.array([bar[3] for bar in chart.bars])
    assert np.allclose(heights / heights.max(), np.array(counts) / max(counts))
    assert sum(int(re.search(r": (\d+)", b[4]).group(1)) for b in histogram(np.zeros(4)).bars) == 4


def test_each_landmark_has_its_place_on_the_logarithmic_axis():
    chart = before_and_after(np.array([10.0, 30.0, 100.0]), np.array([1.0, 0.01, 10.0]), ("a", "b", "c"), height=150)
    at = {float(words): y for y, words in chart.y_marks}
    assert [pair[3].split(":")[0] for pair in chart.pairs] == ["b", "a", "c"]
    assert chart.pairs[0][1:3] == (pytest.approx(at[30]), pytest.approx(at[0.1]))
    assert chart.pairs[1][1:3] == (pytest.approx(at[10]), pytest.approx(at[1]))
    assert at[100] == pytest.approx(0) and at[0.1] == pytest.approx(150) and at[1] == pytest.approx(100)


def test_the_stretch_map_is_white_at_one_blue_below_red_above_and_yellow_where_it_folds():
    white, blue, red, fold = pictures.stretch_picture(np.array([[1.0, 0.5, 2.0, -0.1]]), np.ones((1, 4)), None)[
        0
    ].astype(int)
    assert np.ptp(white) < 10
    assert blue[2] > blue[0] + 80 and red[0] > red[2] + 80
    assert fold[0] > 200 and fold[1] > 180 and fold[2] < 60


def test_colours_fade_outside_of_the_region():
    lengths, scan = np.full((1, 2), 5.0), np.full((1, 2), 0.5)
    inside, outside = pictures.motion_picture(lengths, 5.0, scan, np.array([[True, False]]))[0].astype(int)
    assert np.ptp(inside) > 100 > np.ptp(outside)
