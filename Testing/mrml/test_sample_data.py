"""The samples in Slicer's module Sample Data: registered once, nothing fetched before a click, whole pairs loaded."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

pytest.importorskip("slicer", reason="needs the MRML library: pip install slicer-core")

import slicer

if "slicer.i18n" not in sys.modules:  # it belongs to the application; a text stays as it is
    sys.modules["slicer.i18n"] = ModuleType("slicer.i18n")
    sys.modules["slicer.i18n"].tr = lambda text: text  # type: ignore[attr-defined]

from DeepRegLib.datasets.sample_pairs import LUNG_PAIR, PHANTOM_PAIR
from DeepRegLib.errors import BadInput
from DeepRegSlicer import sample_data
from DeepRegSlicer.nodes import to_ras
from DeepRegSlicer.scene import StandaloneScene


class Sources:
    """``SampleData``: what 5.10 and 5.12 have in common, and the rules of ``SampleDataSource``."""

    def __init__(self) -> None:
        self.sources: list[dict[str, Any]] = []
        self.downloads: list[str] = []
        self.checksums = [f"SHA256:{file.sha256}" for file in LUNG_PAIR.files]
        self.answer: Callable[[str], str] = self._offline

        class SampleDataLogic:
            @staticmethod
            def registerCustomSampleDataSource(**source: Any) -> None:  # noqa: N802
                self._register(source)

            def downloadFileIntoCache(logic, uri: str, name: str, checksum: str | None = None) -> str:  # noqa: N802, N805
                assert checksum == self.checksums[len(self.downloads)]
                self.downloads.append(uri)
                return self.answer(name)

        self.module = SimpleNamespace(SampleDataLogic=SampleDataLogic)

    def _register(self, source: dict[str, Any]) -> None:
        lists = [source[name] for name in ("uris", "fileNames", "nodeNames", "checksums")]
        assert all(isinstance(values, list) for values in lists)
        assert len({len(values) for values in lists}) == 1, "Slicer raises ValueError"
        if str(source) not in map(str, self.sources):  # Slicer compares the texts of two sources
            self.sources.append(source)

    @staticmethod
    def _offline(name: str) -> str:
        raise ValueError(f"Failed to download {name}")


@pytest.fixture
def slicers_samples(monkeypatch: pytest.MonkeyPatch) -> Sources:
    samples = Sources()
    monkeypatch.setitem(sys.modules, "SampleData", samples.module)
    return samples


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with StandaloneScene() as standalone:
        monkeypatch.setattr(slicer, "mrmlScene", standalone.scene, raising=False)
        monkeypatch.delattr(slicer, "app", raising=False)
        yield standalone.scene


class Shown:
    """What the application shows: views, status line, error windows, and its event loop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.layers: list[dict[str, Any]] = []
        self.status: list[str] = []
        self.errors: list[str] = []
        self.turns: list[Callable[[], None]] = []
        monkeypatch.setattr(sample_data, "soon", self.turns.append)
        monkeypatch.setattr(slicer.util, "setSliceViewerLayers", lambda **layers: self.layers.append(layers))
        monkeypatch.setattr(slicer.util, "showStatusMessage", lambda text, duration=0: self.status.append(text))
        monkeypatch.setattr(slicer.util, "errorDisplay", self.errors.append)

    def run(self) -> int:
        """Let the event loop turn until nothing is left to do; gives the number of turns."""
        turns = 0
        while self.turns:
            self.turns.pop(0)()
            turns += 1
        return turns


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    return Shown(monkeypatch)


def test_both_samples_are_registered_once_even_after_a_reload(slicers_samples: Sources) -> None:
    sample_data.register_sample_data()
    sample_data.register_sample_data()
    assert [source["sampleName"] for source in slicers_samples.sources] == [PHANTOM_PAIR.title, LUNG_PAIR.title]
    assert {source["category"] for source in slicers_samples.sources} == {"DeepReg"}
    assert all(Path(source["thumbnailFileName"]).is_file() for source in slicers_samples.sources)


def test_registering_downloads_nothing_and_imports_no_reader() -> None:
    code = (
        "import sys, types, slicer\n"
        "i18n = types.ModuleType('slicer.i18n'); i18n.tr = str; sys.modules['slicer.i18n'] = i18n\n"
        "logic = types.SimpleNamespace(registerCustomSampleDataSource=lambda **source: None)\n"
        "sys.modules['SampleData'] = types.SimpleNamespace(SampleDataLogic=logic)\n"
        "from DeepRegSlicer.sample_data import register_sample_data; register_sample_data()\n"
        "assert not {'torch', 'SimpleITK', 'DeepRegSlicer.load_pair', 'DeepRegLib.phantom'} & set(sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


def test_slicer_5_12_is_given_a_title_for_the_category(slicers_samples: Sources) -> None:
    titles: dict[str, str] = {}
    slicers_samples.module.SampleDataLogic.registerCustomSampleDataCategory = staticmethod(
        lambda category, title: titles.update({category: title})
    )
    sample_data.register_sample_data()
    assert titles == {"DeepReg": "DeepReg"}


def test_scripts_get_the_two_scans_through_slicers_own_download(slicers_samples: Sources) -> None:
    sample_data.register_sample_data()
    lung = slicers_samples.sources[1]
    assert lung["fileNames"] == ["DeepReg-lung-fixed.mha", "DeepReg-lung-moving.mha"]
    assert all(url.startswith("https://raw.githubusercontent.com/SuperElastix/elastix/") for url in lung["uris"])
    assert all(len(checksum) == len("SHA256:") + 64 for checksum in lung["checksums"])


def test_a_click_on_the_phantom_loads_and_shows_a_pair_in_many_turns(
    slicers_samples: Sources, scene: Any, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    from DeepRegLib import phantom

    made = phantom.make_phantom(size=(40, 32, 36))
    monkeypatch.setattr(phantom, "make_phantom", lambda: made)
    sample_data.register_sample_data()
    slicers_samples.sources[0]["customDownloader"](None)
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0, "the click itself returns at once"
    assert shown.run() > 5
    (layers,) = shown.layers
    assert np.array_equal(slicer.util.arrayFromVolume(layers["background"]), made.fixed.array)
    assert np.array_equal(slicer.util.arrayFromVolume(layers["foreground"]), made.moving.array)
    points = scene.GetFirstNodeByClass("vtkMRMLMarkupsFiducialNode")
    first = np.array(points.GetNthControlPointPositionWorld(0))
    assert np.allclose(first, to_ras(made.fixed_landmarks[0]), atol=1e-9)
    assert slicers_samples.downloads == [] and shown.errors == []


def test_without_internet_the_click_says_so_and_the_scene_stays_empty(
    slicers_samples: Sources, scene: Any, shown: Shown
) -> None:
    sample_data.SampleLoader("lung")(None)
    shown.run()
    (message,) = shown.errors
    assert "could not be downloaded" in message and "raw.githubusercontent.com" in message
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0


def test_a_damaged_download_is_not_loaded(slicers_samples: Sources, scene: Any, shown: Shown, tmp_path: Path) -> None:
    def damaged(name: str) -> str:
        (tmp_path / name).write_bytes(b"not an image")
        return str(tmp_path / name)

    slicers_samples.answer = damaged
    sample_data.SampleLoader("lung")(None)
    shown.run()
    assert "missing or damaged" in shown.errors[0]
    assert len(slicers_samples.downloads) == len(LUNG_PAIR.files)


def test_a_defect_of_ours_is_not_hidden(slicers_samples: Sources, scene: Any, shown: Shown) -> None:
    def broken(name: str) -> str:
        raise ZeroDivisionError

    slicers_samples.answer = broken
    sample_data.SampleLoader("lung")(None)
    with pytest.raises(ZeroDivisionError):
        shown.run()


def test_an_unknown_sample_is_named_with_the_known_ones() -> None:
    with pytest.raises(BadInput, match="choose one of phantom, lung"):
        sample_data.load_sample("heart")


@pytest.mark.data
def test_the_lung_pair_is_loaded_with_its_landmarks(
    slicers_samples: Sources, scene: Any, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shared images have the voxels of the published ones in other files, so their checksums differ; the lists of
    points are written anew in the format of the elastix project."""
    source = data_folder / "lung_followup"
    files = []
    for file in LUNG_PAIR.files:
        part = file.name.removeprefix("DeepReg-lung-")
        if part.endswith(".mha"):
            shutil.copy(source / part, tmp_path / file.name)
        else:
            role = part.partition("_")[0]
            rows = (source / f"landmarks_{role}.csv").read_text(encoding="utf-8").splitlines()[1:]
            points = [" ".join(row.split(",")[2:5]) for row in rows]
            (tmp_path / file.name).write_text("\n".join(["point", str(len(points)), *points]), encoding="utf-8")
        checksum = hashlib.sha256((tmp_path / file.name).read_bytes()).hexdigest()
        files.append(replace(file, sha256=checksum))
    lung = replace(LUNG_PAIR, files=tuple(files))
    monkeypatch.setattr(sample_data, "SAMPLE_PAIRS", (PHANTOM_PAIR, lung))
    slicers_samples.checksums = [f"SHA256:{file.sha256}" for file in files]
    slicers_samples.answer = lambda name: str(tmp_path / name)

    pair = sample_data.load_sample("lung")

    expected = sitk.GetArrayFromImage(sitk.ReadImage(str(source / "fixed.mha")))
    assert np.array_equal(slicer.util.arrayFromVolume(pair.fixed), expected)
    assert pair.fixed_mask is not None and pair.moving_mask is not None
    table = np.loadtxt(source / "landmarks_moving.csv", delimiter=",", skiprows=1)[:, 2:5]
    points = slicer.util.arrayFromMarkupsControlPoints(pair.moving_landmarks)
    assert np.allclose(points, table * [-1, -1, 1], atol=1e-6)
    assert len(slicers_samples.downloads) == 6
