"""Tiny models for the tests of methods: their cards, and a folder that holds no other model."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from DeepRegLib.images.geometry import Geometry
from DeepRegLib.models.card import Architecture, ModelCard, ModelInput
from DeepRegLib.transforms.linear import LinearTransform

UNET_CARD = ModelCard(
    name="fake-unet",
    description="Weights set by hand.",
    architecture=Architecture("unet", {"base": 2, "levels": 2}),
    method="progressive-unet",
    input=ModelInput((16, 16, 16), None, "HU", "gradient magnitude"),
    output_units="voxels",
    training_data=(),
    steps=0,
    hardware="none",
    hours=0.0,
    validation=(),
    licence="Apache-2.0",
)
TPS_CARD = replace(
    UNET_CARD,
    name="fake-tps",
    architecture=Architecture("vgg_grid", {"channels": [2]}),
    method="tps-grid",
    input=ModelInput((12, 12, 12), None, "HU", "intensity window"),
)


def only_folder_of_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which models are looked for, and nowhere else."""
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setattr("DeepRegLib.models.find.BUNDLED_FOLDER", tmp_path / "none")
    monkeypatch.setenv("DEEPREG_MODELS", os.fspath(folder))
    monkeypatch.setenv("DEEPREG_USER_MODELS", os.fspath(tmp_path / "user" / "Models"))
    return folder


def turned_and_shifted(geometry: Geometry) -> LinearTransform:
    """A pre-alignment that turns by 5 degrees about the middle of a grid and shifts by some millimetres."""
    turn = np.deg2rad(5.0)
    matrix = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    return LinearTransform(matrix, geometry.centre - matrix @ geometry.centre + [2.0, -3.0, 1.0])
