"""Previews of training pairs and of scans, as the panel asks for them: whole, exact, checked, and repeatable."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from DeepRegLib.errors import BadInput
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.read import write_volume
from DeepRegLib.images.volume import Volume
from DeepRegLib.phantom import make_phantom
from DeepRegTrainLib import preview
from DeepRegTrainLib.pairs import PRESETS, PairGenerator, Scans, preset
from DeepRegTrainLib.preset_form import LIMITS, catalogue, checked_preset, rows_of
from DeepRegTrainLib.preview import Previewer, Wish, read_ranges, serve
from DeepRegTrainLib.scan_pictures import coronal_picture
from scipy.ndimage import map_coordinates

SIZE = 24


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scans") / "ann.nii.gz"
    return write_volume(make_phantom((64, 56, 56), seed=1).fixed, path)


@pytest.fixture(scope="module")
def previewer() -> Previewer:
    return Previewer(lambda message: None)


def drawn(previewer: Previewer, scan: Path, output: Path, **words: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The record and the arrays of a pair."""
    previewer.draw(Wish(scan, output, **{"size": SIZE, "network": "unet", **words}))
    arrays = {file.stem: np.load(file) for file in output.glob("*.npy")}
    return json.loads((output / "pair.json").read_text()), arrays


def test_the_folder_holds_the_pair_that_training_draws(previewer: Previewer, scan: Path, tmp_path: Path) -> None:
    record, arrays = drawn(previewer, scan, tmp_path, preset="eppenhof2020", seed=3, index=5)
    pair = PairGenerator(Scans([scan]), preset("eppenhof2020"), SIZE, None, 3).draw(5)
    assert np.array_equal(arrays["fixed"], pair.fixed[0, 0].numpy())
    assert np.array_equal(arrays["moving"], pair.moving[0, 0].numpy())
    voxels = np.moveaxis(pair.displacement[0].numpy(), 0, -1)
    assert np.allclose(arrays["displacement"], voxels * np.array(pair.spacing_mm), atol=1e-4)
    assert record["parameters"]["index"] == 5 and record["parameters"]["source"] == "ann.nii.gz"
    geometry = Geometry(**record["geometry"])
    assert geometry.size == (SIZE,) * 3 and np.allclose(geometry.centre, 0)
    assert np.allclose(geometry.spacing, pair.spacing_mm)


def test_the_motion_in_the_folder_maps_fixed_to_moving_points(previewer: Previewer, scan: Path, tmp_path: Path) -> None:
    # Without changes of grey values fixed(x) = moving(T(x)), up to interpolation; told by scipy from the files alone.
    record, arrays = drawn(previewer, scan, tmp_path, preset="eppenhof2020", index=1)
    geometry = Geometry(**record["geometry"])
    index = geometry.to_index(geometry.points() + arrays["displacement"])
    pulled = map_coordinates(arrays["moving"], np.moveaxis(index[..., ::-1], -1, 0), order=1, mode="nearest")
    inside = arrays["region"] > 0
    still = np.abs(arrays["fixed"] - arrays["moving"])[inside].mean()
    backwards = geometry.to_index(geometry.points() - arrays["displacement"])
    wrong = map_coordinates(arrays["moving"], np.moveaxis(backwards[..., ::-1], -1, 0), order=1, mode="nearest")
    error = np.abs(arrays["fixed"] - pulled)[inside].mean()
    assert error < 0.5 * still and error < 0.4 * np.abs(arrays["fixed"] - wrong)[inside].mean()


def test_the_numbers_are_those_of_the_field_in_the_folder(previewer: Previewer, scan: Path, tmp_path: Path) -> None:
    record, arrays = drawn(previewer, scan, tmp_path, preset="eppenhof2018", index=2)
    lengths = np.linalg.norm(arrays["displacement"], axis=-1)[arrays["region"] > 0]
    assert record["statistics"]["largest"] == pytest.approx(lengths.max(), rel=0.02)
    assert record["statistics"]["mean"] == pytest.approx(lengths.mean(), rel=0.02)
    assert 0 < record["seen_by_both_percent"] <= 100


def test_the_same_wish_gives_the_same_pair_and_the_next_one_another(
    previewer: Previewer, scan: Path, tmp_path: Path
) -> None:
    first, again, other = (
        drawn(previewer, scan, tmp_path / name, preset="breathing", network="correspondence", index=index)[1]
        for name, index in (("first", 0), ("again", 0), ("other", 1))
    )
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["displacement"], other["displacement"])


def test_pairs_have_the_voxels_that_the_network_is_trained_with(
    previewer: Previewer, scan: Path, tmp_path: Path
) -> None:
    correspondence, _ = drawn(previewer, scan, tmp_path / "a", preset="breathing", network="correspondence")
    unet, _ = drawn(previewer, scan, tmp_path / "b", preset="breathing", network="unet")
    assert correspondence["geometry"]["spacing"] == [3.0, 3.0, 3.0]
    assert unet["geometry"]["spacing"] != [3.0, 3.0, 3.0]


def test_changed_ranges_are_drawn_from(previewer: Previewer, scan: Path, tmp_path: Path) -> None:
    content = preset("eppenhof2018").to_dict()
    for axis in "xyz":
        content["motion"][axis] = {"low": 0.0, "high": 0.0}
    _, still = drawn(previewer, scan, tmp_path / "still", preset="eppenhof2018", ranges=content)
    _, usual = drawn(previewer, scan, tmp_path / "usual", preset="eppenhof2018")
    assert np.abs(still["displacement"]).max() < 1e-3 < np.abs(usual["displacement"]).max()


def test_a_folder_that_is_written_anew_holds_no_pair_until_it_is_whole(
    previewer: Previewer, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn(previewer, scan, tmp_path, preset="eppenhof2020")
    from DeepRegTrainLib import preview_files

    def full(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(preview_files, "write_array_in_steps", full)
    with pytest.raises(OSError, match="disk full"):
        previewer.draw(Wish(scan, tmp_path, "eppenhof2020", "unet", SIZE))
    assert not (tmp_path / "pair.json").exists()


def test_every_number_of_every_preset_has_a_label_and_lies_within_its_limits() -> None:
    for made in PRESETS.values():
        assert checked_preset(json.loads(json.dumps(made.to_dict()))) == made
        for row in rows_of(made):
            assert row.label and row.lowest < row.highest
            assert row.kind == "yes or no" or row.name in LIMITS, f"give '{row.name}' limits"


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("framing", "mirrored", 1.5),
        ("framing", "zoom", {"low": -1.0, "high": 1.0}),
        ("motion", "usual_mm", {"low": 10.0, "high": 5.0}),
        ("motion", "uneven_mm", [1.0, -2.0, 1.0]),
        ("appearance", "noise_hu", {"low": 0.0, "high": float("nan")}),
        ("appearance", "noise_hu", "much"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(part: str, name: str, value: Any) -> None:
    content = preset("breathing").to_dict()
    content[part][name] = value
    with pytest.raises(BadInput):
        checked_preset(content)


def test_the_catalogue_is_plain_json_with_a_row_for_each_number() -> None:
    told = json.loads(json.dumps(catalogue(), allow_nan=False))
    assert set(told) == set(PRESETS)
    for entry in told.values():
        numbers = {(part, name) for part in ("framing", "motion", "appearance") for name in entry["preset"][part]}
        assert {(row["part"], row["name"]) for row in entry["rows"]} == numbers - {("motion", "kind")}


def test_the_server_answers_each_request_in_turn_and_keeps_the_scan(
    scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from DeepRegTrainLib.pairs import sources

    prepared: list[Path] = []
    original = sources.prepare_scan
    monkeypatch.setattr(sources, "prepare_scan", lambda *given: prepared.append(given[0]) or original(*given))
    words = {"data": str(scan), "preset": "eppenhof2020", "network": "unet", "size": SIZE}
    requests: list[Any] = [{"draw": {**words, "index": n, "output": str(tmp_path / str(n))}} for n in (0, 1)]
    requests.insert(1, {"draw": {**words, "data": str(tmp_path / "gone.nii.gz"), "output": str(tmp_path / "2")}})
    requests += [{"draw": {**words, "size": "big", "output": "x"}}, {"draw": {}}, {"presets": True}, {"dance": True}]
    said: list[dict[str, Any]] = []
    serve([json.dumps(request) for request in requests] + ["no JSON"], said.append)
    kinds = [next(iter(message)) for message in said if "progress" not in message]
    assert kinds == ["ready", "pair", "error", "pair", "error", "error", "presets", "error", "error"]
    assert prepared == [scan]
    assert "gone.nii.gz" in next(message["error"] for message in said if "error" in message)
    assert (tmp_path / "1" / "pair.json").is_file()


def test_a_scan_that_changed_on_the_disk_is_read_again(
    scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from DeepRegTrainLib.pairs import sources

    prepared = sources.prepare_scan(scan, 4.0)
    read: list[bytes] = []
    monkeypatch.setattr(sources, "prepare_scan", lambda file, *_: read.append(file.read_bytes()) or prepared)
    path = tmp_path / "scan.nii.gz"
    previewer = Previewer(lambda message: None)
    for content in (b"one", b"one", b"another"):
        if not read or read[-1] != content:
            path.write_bytes(content)
        drawn(previewer, path, tmp_path / "pair", preset="eppenhof2020")
    assert read == [b"one", b"another"]


def test_the_command_says_json_and_nothing_else(scan: Path, tmp_path: Path) -> None:
    words = ["--data", str(scan), "--preset", "eppenhof2018", "--size", "16", "--output", str(tmp_path / "pair")]
    good = command(*words)
    assert good.returncode == 0 and json.loads(good.stdout.splitlines()[-1]) == {"pair": str(tmp_path / "pair")}
    assert all(isinstance(json.loads(line), dict) for line in good.stdout.splitlines())
    bad = command(*words[:2], "--preset", "tides", *words[4:])
    assert bad.returncode == 2 and "tides" in json.loads(bad.stdout.splitlines()[-1])["error"]


def command(*words: str) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "DeepRegTrainLib.preview", *words]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=60)


def test_ranges_are_read_from_text_and_from_files(tmp_path: Path) -> None:
    content = preset("breathing").to_dict()
    file = tmp_path / "ranges.json"
    file.write_text(json.dumps(content))
    assert read_ranges(str(file)) == read_ranges(json.dumps(content)) == json.loads(json.dumps(content))
    assert read_ranges(None) is None
    for words in ("[1]", str(tmp_path / "none.json"), "{"):
        with pytest.raises(BadInput):
            read_ranges(words)


def test_a_check_tells_every_scan_and_draws_those_that_can_be_read(scan: Path, tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "ann.nii.gz").write_bytes(scan.read_bytes())
    (folder / "notes.nii.gz").write_text("not an image")
    said: list[dict[str, Any]] = []
    preview.check(folder, tmp_path / "pictures", said.append)
    found = next(message["check"] for message in said if "check" in message)
    assert [(row["file"], bool(row["problems"])) for row in found["scans"]] == [
        ("ann.nii.gz", False),
        ("notes.nii.gz", True),
    ]
    pictures = {message["file"]: message["thumbnail"] for message in said if "thumbnail" in message}
    assert list(pictures) == ["ann.nii.gz"]
    assert max(sitk.ReadImage(pictures["ann.nii.gz"]).GetSize()) == 96
    fractions = [message["progress"] for message in said if "progress" in message]
    assert fractions == sorted(fractions) and fractions[0] >= 0 and fractions[-1] <= 1


def test_a_folder_without_a_usable_scan_still_gives_its_verdicts(tmp_path: Path) -> None:
    (tmp_path / "notes.nii.gz").write_text("not an image")
    said: list[dict[str, Any]] = []
    preview.check(tmp_path, tmp_path / "pictures", said.append)
    assert next(message["check"] for message in said if "check" in message)["scans"][0]["problems"]


@pytest.mark.parametrize("axes", [np.eye(3), np.diag([-1.0, -1.0, 1.0]), np.eye(3)[:, [0, 2, 1]] @ np.diag([1, 1, -1])])
def test_a_small_picture_shows_the_head_up_and_the_right_side_on_the_left(axes: np.ndarray) -> None:
    """However the voxels are stored: a bright mark lies to the left and above."""
    geometry = Geometry((40, 40, 40), (3.0, 3.0, 3.0), direction=tuple(axes.ravel()))
    places = geometry.points() - geometry.centre
    array = np.where((places[..., 0] > 20) & (places[..., 2] > 20), 100, -1000).astype(np.int16)
    picture = coronal_picture(Volume(array, geometry))
    rows, columns = picture.shape
    assert picture[: rows // 4, -columns // 4 :].mean() > 200
    assert picture[rows // 2 :].mean() < 5 and picture[:, : columns // 2].mean() < 5


def test_voxels_that_are_not_cubes_keep_the_shape_of_the_body() -> None:
    volume = Volume(np.zeros((30, 40, 100), np.int16), Geometry((100, 40, 30), (1.0, 1.0, 5.0)))
    rows, columns = coronal_picture(volume).shape
    assert (rows, columns) == (96, 64)


def test_a_wish_in_plain_words_is_the_wish() -> None:
    words = {"data": "/a", "output": "/b", "preset": "breathing", "network": None, "size": 32, "seed": 1, "index": 2}
    wish = Wish.of(words)
    assert asdict(wish) == {**words, "data": Path("/a"), "output": Path("/b"), "ranges": None}
    for damaged in ({}, {**words, "colour": "red"}, {**words, "index": -1}, {**words, "ranges": [1]}):
        with pytest.raises(BadInput):
            Wish.of(damaged)
