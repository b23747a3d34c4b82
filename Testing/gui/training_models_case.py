"""What the tests of the models section share: the section with widgets and fake processes, and tiny models."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from DeepRegLib.models.card import Architecture, ModelCard, ModelInput, TrainingData, ValidationRow
from fake_process import FakeProcess

__all__ = ["CARD", "made", "models_bench", "own"]
UI_FILE = Path(__file__).resolve().parents[2] / "DeepRegTrain/Resources/UI/DeepRegTrain.ui"
CARD = ModelCard(
    name="lung-small",
    description="Breathing of lungs in CT.",
    architecture=Architecture("unet", {"base": 2, "levels": 2}),
    method="progressive-unet",
    input=ModelInput((16, 16, 16), None, "HU", "gradient magnitude"),
    output_units="voxels",
    training_data=(TrainingData("LIDC-IDRI", "CC BY 3.0", 5), TrainingData("Phantoms", "Apache-2.0", 1)),
    steps=15000,
    hardware="one GPU",
    hours=1.5,
    validation=(
        ValidationRow("4 held-out synthetic pairs", "mean error, mm", 9.0, 1.1),
        ValidationRow("landmarks of lung_4dct", "mean error, mm", 8.04, 2.44),
        ValidationRow("landmarks of lung_4dct", "mean error of the training-free solver, mm", 8.04, 1.2),
    ),
    licence="Apache-2.0",
)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of models, still empty; there are no others, and nothing has to be installed."""
    monkeypatch.setattr("DeepRegLib.models.find.BUNDLED_FOLDER", tmp_path / "none")
    monkeypatch.setenv("DEEPREG_MODELS", "")
    monkeypatch.setenv("DEEPREG_USER_MODELS", str(tmp_path / "user" / "Models"))
    return tmp_path / "user" / "Models"


@pytest.fixture
def models_bench(host, scene, own):
    """The section as the training panel builds it, and what a test needs to drive it."""
    import slicer
    from DeepRegSlicer.training.models_section import ModelsSection
    from DeepRegSlicer.training.parameters import DeepRegTrainParameters

    widget = slicer.util.loadUI(str(UI_FILE))
    ui = slicer.util.childWidgetVariables(widget)
    widget.setMRMLScene(scene)
    processes: list[FakeProcess] = []

    def new_process() -> FakeProcess:
        processes.append(FakeProcess())
        return processes[-1]

    runs: list[Path] = []
    section = ModelsSection(ui, scene, chosen_run=lambda: runs[-1] if runs else None, new_process=new_process)
    parameters = DeepRegTrainParameters(scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))
    tag = parameters.connectGui(ui)
    section.connect()
    ui.modelsSection.collapsed = ui.compareSection.collapsed = False
    section.update(parameters)
    section.enter()
    yield SimpleNamespace(
        widget=widget, ui=ui, section=section, parameters=parameters, processes=processes, runs=runs, scene=scene
    )
    section.disconnect()
    parameters.disconnectGui(tag)
    widget.deleteLater()


def made(folder: Path, card: ModelCard = CARD) -> Path:
    """A model in ``folder``; returns its card file."""
    from DeepRegLib.models.build import build_network
    from DeepRegLib.models.save import save_model

    folder.mkdir(parents=True, exist_ok=True)
    save_model(folder, card, build_network(card.architecture.name, card.architecture.arguments))
    return folder / f"{card.name}.card.json"
