"""Scans, phantoms and label maps as sources of training pairs."""

import numpy as np
import pytest
import torch
from DeepRegLib.errors import BadInput
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.images.read import write_volume
from DeepRegLib.images.volume import Volume
from DeepRegTrainLib.pairs import (
    LabelMaps,
    Mixture,
    PairGenerator,
    Phantoms,
    RandomShapes,
    Scans,
    preset,
    scan_preparation,
)
from DeepRegTrainLib.pairs.scan_preparation import prepare_scan, prepare_volume
from pair_cases import CPU, thorax_volume

SPACING_MM = 3.0


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def thorax():
    return prepare_volume(thorax_volume(), SPACING_MM).anatomy(CPU)


@pytest.fixture(scope="module")
def thorax_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "scan.mha"
    write_volume(thorax_volume((5.0, 5.0, 6.0)), path)
    return path


def test_lungs_and_their_box_are_found(thorax):
    assert thorax.is_lungs
    # The lungs of the test patient: an ellipsoid cut at z = -80 and along the middle.
    assert thorax.box.low[2] == pytest.approx(-80.0, abs=8.0)
    assert thorax.box.high[0] == pytest.approx(105.0, abs=8.0)
    assert thorax.box.extent == pytest.approx([210.0, 152.0, 184.0], abs=14.0)
    assert (thorax.trunk.extent <= thorax.box.extent + 1e-6).all()


def test_the_wall_goes_around_the_lungs_and_is_open_below(thorax):
    at = lambda *mm: float(thorax.depth(torch.tensor(mm, dtype=torch.float32).reshape(1, 3, 1, 1, 1)))  # noqa: E731
    assert at(60, 0, 0) < -15.0  # in a lung
    assert at(0, -20, 20) < -15.0  # between the lungs
    assert at(60, 0, -120) < -10.0  # below them
    assert at(125, 0, 0) > 8.0  # in the chest wall
    inside = thorax.grid.sample(thorax.region, thorax.grid.points()) > 0.5
    beyond = thorax.depth(thorax.grid.points())[inside] > 0
    assert float(beyond.float().mean()) < 0.04


def test_a_scan_stored_in_another_direction_is_the_same_patient(thorax):
    flipped = prepare_volume(thorax_volume(flipped=True), SPACING_MM).anatomy(CPU)
    overlap = (flipped.region * thorax.region).sum() / thorax.region.sum()
    assert flipped.grid.size == thorax.grid.size
    assert float(overlap) > 0.97


def test_noise_of_the_scan_is_no_cue(thorax):
    clean = thorax_volume()
    quiet = prepare_volume(clean, SPACING_MM).image.astype(float)
    liver = quiet[5:12, 28:40, 60:76]
    assert liver.std() < 8.0  # 15 HU in the file
    assert thorax.moving_look is thorax.fixed_look


def test_a_prepared_scan_is_read_from_the_cache(tmp_path, monkeypatch):
    path, cache = tmp_path / "scan.nii.gz", tmp_path / "cache"
    write_volume(thorax_volume((4.0, 4.0, 5.0)), path)
    first = prepare_scan(path, 4.0, cache)

    def never(source):
        raise AssertionError("the scan was read again")

    monkeypatch.setattr(scan_preparation, "read_volume", never)
    second = prepare_scan(path, 4.0, cache)
    for name in ("image", "region", "wall"):
        assert np.array_equal(getattr(first, name), getattr(second, name))
    assert (second.is_lungs, second.wall_centre) == (first.is_lungs, first.wall_centre)


def test_a_damaged_cache_is_made_again(tmp_path):
    path, cache = tmp_path / "scan.nii.gz", tmp_path / "cache"
    write_volume(thorax_volume((4.0, 4.0, 5.0)), path)
    first = prepare_scan(path, 4.0, cache)
    stored = next(cache.iterdir())
    stored.write_bytes(stored.read_bytes()[:1000])
    assert np.array_equal(prepare_scan(path, 4.0, cache).image, first.image)


@pytest.mark.parametrize("seed", range(2))
def test_whatever_happens_to_a_cached_file_the_scan_is_the_same(tmp_path, thorax_file, seed):
    """Cut, emptied, overwritten, single bits: some of them look like an encrypted archive or one of another version."""
    cache, chance = tmp_path / "cache", rng(seed)
    first = prepare_scan(thorax_file, 5.0, cache)
    stored = next(cache.iterdir())
    content = stored.read_bytes()
    directory = content.index(b"PK\x01\x02")
    damages = [b"", content[:1], chance.bytes(500), content[: chance.integers(len(content))]]
    for place in [*range(directory + 6, directory + 12), *chance.integers(len(content), size=6)]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(chance.integers(8))
        damages.append(bytes(damaged))
    for damaged in damages:
        stored.write_bytes(damaged)
        again = prepare_scan(thorax_file, 5.0, cache)
        for name in ("image", "region", "wall"):
            assert np.array_equal(getattr(again, name), getattr(first, name))


def test_only_a_scan_that_is_read_is_asked_about_and_it_can_be_refused(tmp_path, thorax_file):
    asked = []

    def refuse(file):
        asked.append(file)
        raise BadInput("It has changed.")

    prepare_scan(thorax_file, 5.0, tmp_path / "cache")
    assert Scans([thorax_file], 5.0, tmp_path / "cache", before_reading=refuse).draw(rng(), CPU).name == "scan.mha"
    assert not asked
    with pytest.raises(BadInput, match="It has changed"):
        Scans([thorax_file], 5.0, tmp_path / "other", before_reading=refuse).draw(rng(), CPU)
    assert asked == [thorax_file]
    missing = tmp_path / "missing.mha"
    with pytest.raises(BadInput, match="There is no file"):
        Scans([missing], 5.0, tmp_path / "cache").draw(rng(), CPU)


def test_the_bore_is_known_only_for_square_slices():
    assert prepare_volume(thorax_volume(), 6.0).bore_radius_mm is None
    volume = thorax_volume()
    square = Volume(np.ascontiguousarray(volume.array[:, :, 8:80]), Geometry((72, 72, 66), (3.0, 3.0, 4.0)))
    assert prepare_volume(square, 6.0).bore_radius_mm == pytest.approx(216 * 250 / 512)


def test_scans_of_a_folder_are_drawn_by_the_seed(tmp_path):
    for name in ("a.nii.gz", "b.mha"):
        write_volume(thorax_volume((5.0, 5.0, 6.0)), tmp_path / name)
    (tmp_path / "notes.txt").write_text("no scan")
    scans = Scans.in_folder(tmp_path, 5.0, cache=tmp_path / "cache")
    assert [file.name for file in scans.files] == ["a.nii.gz", "b.mha"]
    drawn = [scans.draw(rng(seed), CPU).name for seed in range(12)]
    assert set(drawn) == {"a.nii.gz", "b.mha"}
    assert scans.draw(rng(3), CPU) is scans.draw(rng(3), CPU)
    assert [row["bytes"] for row in scans.record()] == [f.stat().st_size for f in scans.files]


def test_a_folder_without_scans_is_refused(tmp_path):
    with pytest.raises(BadInput, match="holds no scans"):
        Scans.in_folder(tmp_path)
    with pytest.raises(BadInput, match="no folder"):
        Scans.in_folder(tmp_path / "missing")


def test_a_coarser_grid_gets_a_smoother_scan(thorax):
    coarse = thorax.smoothed(9.0)
    assert coarse is thorax.smoothed(9.02)
    assert thorax.smoothed(SPACING_MM) is thorax
    roughness = lambda image: float(image.diff(n=2, dim=4).abs().mean())  # noqa: E731
    assert roughness(coarse.moving_look) < 0.8 * roughness(thorax.moving_look)


def test_a_phantom_is_a_patient_with_lungs_and_a_wall():
    phantom = Phantoms(count=1, spacing_mm=5.0).draw(rng(), CPU)
    inside = phantom.region > 0.9
    assert phantom.is_lungs
    assert -900 < float(phantom.moving_look[inside].mean()) < -600
    depth = phantom.depth(phantom.grid.points())
    assert float((depth[inside] > 0).float().mean()) < 0.01
    pair = PairGenerator(Phantoms(count=1, spacing_mm=5.0), preset("breathing"), 32, 6.0, seed=0).draw(0)
    assert float(pair.region.mean()) > 0.1


def test_made_up_shapes_have_contrasts_of_their_own_in_each_image():
    shapes = RandomShapes(count=2, size=40)
    drawn = [shapes.draw(rng(seed), CPU) for seed in range(10)]
    same = [a.fixed_look is a.moving_look for a in drawn]
    assert 0 < sum(same) < 10
    other = drawn[same.index(False)]
    inside = other.region > 0.5
    both = torch.stack([other.fixed_look[inside], other.moving_look[inside]])
    assert abs(float(torch.corrcoef(both)[0, 1])) < 0.9
    assert torch.equal(shapes.draw(rng(1), CPU).fixed_look, RandomShapes(count=2, size=40).draw(rng(1), CPU).fixed_look)


def test_a_label_map_keeps_its_borders(tmp_path):
    labels = np.zeros((30, 32, 34), np.uint8)
    labels[6:24, 6:26, 5:17] = 41
    labels[6:24, 6:26, 17:30] = 7
    write_volume(Volume(labels, Geometry((34, 32, 30), (2.0, 2.0, 2.0))), tmp_path / "labels.nii.gz")
    maps = LabelMaps([tmp_path / "labels.nii.gz"])
    drawn = maps.draw(rng(5), CPU)
    look = drawn.moving_look[0, 0]
    assert drawn.region.sum() == (labels > 0).sum()
    left, right = look[8:22, 8:24, 7:15].mean(), look[8:22, 8:24, 19:28].mean()
    jump = (look[15, 16, 18] - look[15, 16, 15]).abs()
    assert float(jump) > 0.4 * float((right - left).abs())
    pair = PairGenerator(maps, preset("breathing"), 24, 3.0, seed=0).draw(0)
    assert float(pair.region.max()) > 0.9


def test_a_scan_is_no_label_map(tmp_path):
    noise = rng().normal(size=(20, 20, 20)).astype(np.float32)
    write_volume(Volume(noise, Geometry((20, 20, 20))), tmp_path / "scan.mha")
    with pytest.raises(BadInput, match="no label map"):
        LabelMaps([tmp_path / "scan.mha"]).draw(rng(), CPU)


def test_a_mixture_draws_by_its_shares():
    few, many = RandomShapes(count=1, size=24, first_seed=1), RandomShapes(count=1, size=24, first_seed=2)
    mixture = Mixture([few, many], [1.0, 4.0])
    names = [mixture.draw(rng(seed), CPU).name for seed in range(60)]
    assert 0.05 < names.count("shapes 1/0") / 60 < 0.4
    assert [row["share"] for row in mixture.record()] == pytest.approx([0.2, 0.8])
    with pytest.raises(BadInput, match="share"):
        Mixture([few], [0.0])


@pytest.mark.data
def test_the_training_scans_have_lungs_within_their_wall(data_folder, tmp_path):
    path = data_folder / "train" / "ct" / "lidc-idri-0306.nii.gz"
    scan = prepare_scan(path, 3.0, tmp_path).anatomy(CPU)
    inside = scan.region > 0.5
    assert scan.is_lungs
    assert 3500 < float(inside.sum()) * 27 / 1000 < 6000  # ml
    points = scan.grid.points()
    depth = scan.depth(points)
    assert float((depth[inside] > 0).float().mean()) < 0.03
    # The spine stays with the chest wall: bone in the middle of the back is outside.
    x, y = points[:, :1], points[:, 1:2]
    lungs_back = float(scan.trunk.high[1])
    spine = (scan.moving_look > 250) & (x.abs() < 15) & ((y - (lungs_back - 8)).abs() < 8) & (points[:, 2:].abs() < 60)
    assert float((depth[spine] > 0).float().mean()) > 0.8
