"""The extension as Slicer's build system and the Extensions Index see it: nothing is missing, nothing is stale."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree

import numpy as np
import pytest
from extension_files import RESOURCES, SCRIPTS, in_tree, lines_to_paste, listed, modules
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[2]
MODULES = modules(REPOSITORY)
CMAKE = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")
INDEX_FILE = REPOSITORY / "Resources" / "ExtensionsIndex" / "DeepReg.json"
INDEX = json.loads(INDEX_FILE.read_text(encoding="utf-8"))
SCHEMA = (
    "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/slicer-extension-catalog-entry-schema-v1.0.1.json#"
)
INDEX_TYPES = {
    "$schema": str,
    "category": str,
    "scm_url": str,
    "scm_revision": str,
    "scm_type": str,
    "build_dependencies": list,
    "build_subdirectory": str,
    "enabled": bool,
    "tier": int,
}
"""All keys that the schema allows."""
DARK, LIGHT = (45, 45, 45), (240, 240, 240)
"""Backgrounds of Slicer's panels in its two styles."""
SCREENSHOT_BYTES = 2**20
"""All of them; they stay in the history of the repository with every change."""
VISIBLE_CONTRAST = 3.0
"""Contrast ratio of an icon's colours to the panel that WCAG 2 asks for graphical objects."""


def setting(name: str) -> str:
    match = re.search(rf'^set\({name} "([^"]*)"\)', CMAKE, re.MULTILINE)
    assert match, f"CMakeLists.txt sets no {name}"
    return match[1]


def file_behind(url: str) -> Path:
    """The file of this repository that an address on raw.githubusercontent.com/OWNER/NAME/BRANCH means."""
    return REPOSITORY.joinpath(*urlsplit(url).path.split("/")[4:])


# ------------------------------------------------------------------------------------------------------ CMake


@pytest.mark.parametrize("variable", [SCRIPTS, RESOURCES])
@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_cmake_lists_the_files_that_are_there(module: Path, variable: str) -> None:
    in_folder, in_list = set(in_tree(module)[variable]), set(listed(module, variable))
    assert in_list == in_folder, (
        f"not listed: {sorted(in_folder - in_list)}; listed but absent: {sorted(in_list - in_folder)}\n"
        f"Paste this into {module.name}/CMakeLists.txt:\n{lines_to_paste(module, variable)}"
    )


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_every_package_carries_the_name_of_its_module(module: Path) -> None:
    """Packages of all extensions share one Python: two of the same name hide each other."""
    tops = {name.split("/")[0] for name in listed(module, SCRIPTS)}
    assert f"{module.name}.py" in tops
    assert all(top.startswith(module.name) for top in tops), tops


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_every_folder_of_python_files_is_a_package(module: Path) -> None:
    scripts = set(listed(module, SCRIPTS))
    folders = {name.rpartition("/")[0] for name in scripts} - {""}
    assert {folder for folder in folders if f"{folder}/__init__.py" not in scripts} == set()


def test_the_description_is_short_and_says_that_it_is_research_software() -> None:
    description = setting("EXTENSION_DESCRIPTION")
    assert len(re.findall(r"\.(?: |$)", description)) <= 2
    assert "not a medical device" in description and "patents" in description


# ------------------------------------------------------------------------------------------- Extensions Index


def test_the_index_entry_has_only_keys_of_the_schema_in_the_right_types() -> None:
    assert {"$schema", "category", "scm_url"} <= set(INDEX) <= set(INDEX_TYPES)
    assert {key for key, value in INDEX.items() if not isinstance(value, INDEX_TYPES[key])} == set()
    assert INDEX["$schema"] == SCHEMA
    assert 1 <= INDEX["tier"] <= 5


def test_the_index_entry_follows_the_rules_of_the_index() -> None:
    assert INDEX["category"] == "Registration"
    address = urlsplit(INDEX["scm_url"])
    assert address.scheme == "https" and address.path.split("/")[-1].startswith("Slicer")
    assert not INDEX_FILE.stem.lower().startswith("slicer")
    assert b"\r" not in INDEX_FILE.read_bytes()


def test_cmake_and_index_entry_say_the_same() -> None:
    assert re.findall(r"^project\((\w+)\)", CMAKE, re.MULTILINE) == [INDEX_FILE.stem]
    assert setting("EXTENSION_DEPENDS").split() == INDEX["build_dependencies"]
    repository = urlsplit(INDEX["scm_url"]).path
    for name in ("EXTENSION_HOMEPAGE", "EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS"):
        assert all(urlsplit(url).path.startswith(repository) for url in setting(name).split()), name


def test_the_icon_and_the_screenshots_are_in_the_repository() -> None:
    pictures = [setting("EXTENSION_ICONURL"), *setting("EXTENSION_SCREENSHOTURLS").split()]
    for url in pictures:
        assert file_behind(url).is_file(), f"{url} would lead nowhere"
        assert file_behind(url).suffix == ".png"


def test_every_screenshot_is_shown_and_together_they_are_small() -> None:
    shown = {file_behind(url) for url in setting("EXTENSION_SCREENSHOTURLS").split()}
    kept = set((REPOSITORY / "Resources" / "Screenshots").iterdir())
    assert shown == kept
    assert sum(picture.stat().st_size for picture in kept) < SCREENSHOT_BYTES


def test_the_home_page_names_licence_modules_and_papers() -> None:
    page = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert (REPOSITORY / "LICENSE").read_text(encoding="utf-8").lstrip().startswith("Apache License")
    assert "Apache License 2.0" in page and "not for decisions about patients" in page
    assert "Eppenhof" in page and all(module.name in page for module in MODULES)


# ------------------------------------------------------------------------------------------------- documents


def test_the_checklist_is_ticked_by_nobody() -> None:
    text = (REPOSITORY / "Testing" / "slicer" / "CHECKLIST.md").read_text(encoding="utf-8")
    assert len(re.findall(r"^- \[ \] ", text, re.MULTILINE)) > 50
    assert not re.search(r"\[[xX]\]", text)


# ------------------------------------------------------------------------------------------------------ icons


def icons() -> list[Path]:
    return sorted((REPOSITORY / "DeepReg" / "Resources" / "Icons").glob("*.svg"))


def luminance(colour: tuple[int, int, int]) -> float:
    """Relative luminance of an sRGB colour as WCAG 2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (value / 255 for value in colour)]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("icon", icons(), ids=lambda icon: icon.stem)
def test_an_icon_is_a_drawing_without_foreign_parts(icon: Path) -> None:
    drawing = ElementTree.parse(icon).getroot()
    assert drawing.tag.endswith("svg") and drawing.get("viewBox") in ("0 0 24 24", "0 0 128 128")
    assert {element.tag.rpartition("}")[2] for element in drawing.iter()} <= {"svg", "path", "rect", "circle"}


@pytest.mark.parametrize("icon", [icon for icon in icons() if icon.stem != "DeepReg"], ids=lambda icon: icon.stem)
def test_the_icon_of_an_action_is_seen_on_light_and_on_dark(icon: Path) -> None:
    colours = set(re.findall(r'"#([0-9a-f]{6})"', icon.read_text(encoding="utf-8")))
    assert colours
    for colour in colours:
        rgb = tuple(int(colour[i : i + 2], 16) for i in (0, 2, 4))
        assert min(contrast(rgb, LIGHT), contrast(rgb, DARK)) > VISIBLE_CONTRAST, colour


@pytest.mark.parametrize(
    ("place", "size"), [("DeepReg/Resources/Icons/DeepReg.png", 128), ("Resources/DeepReg.png", 256)]
)
def test_the_pictures_of_the_icon_are_drawn_from_its_drawing(place: str, size: int, tmp_path: Path) -> None:
    """After a change of DeepReg.svg: draw it anew with the lines below."""
    core, gui, svg = (pytest.importorskip(f"PySide6.{part}") for part in ("QtCore", "QtGui", "QtSvg"))
    drawn = gui.QImage(size, size, gui.QImage.Format.Format_ARGB32)
    drawn.fill(core.Qt.GlobalColor.transparent)
    painter = gui.QPainter(drawn)
    svg.QSvgRenderer(str(REPOSITORY / "DeepReg/Resources/Icons/DeepReg.svg")).render(painter)
    painter.end()
    drawn.save(str(tmp_path / "drawn.png"))
    expected, kept = (
        np.asarray(Image.open(p).convert("RGBA"), float) for p in (tmp_path / "drawn.png", REPOSITORY / place)
    )
    assert kept.shape == (size, size, 4)
    assert np.abs(kept - expected).mean() < 1.0, "versions of Qt differ by less along edges"


@pytest.mark.parametrize("sample", ["phantom", "lung"])
def test_the_samples_have_thumbnails_of_the_size_that_slicer_asks_for(sample: str) -> None:
    picture = Image.open(REPOSITORY / "DeepReg" / "Resources" / "Icons" / f"DeepRegSample_{sample}.png")
    assert picture.size == (260, 280), "Slicer's module template: approximately 260x280 pixels"


# ------------------------------------------------------------------------------------------------ translation

TRANSLATED = [
    file
    for module in MODULES
    for file in [*module.glob("*.py"), *(module / "DeepRegSlicer").rglob("*.py")]
    if "slicer.i18n" in file.read_text(encoding="utf-8")
]
LITERAL = r"""(?:"{3}.*?"{3}|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
EXTRACTED = re.compile(rf"[^_\w]_\(\s*(?:{LITERAL}\s*)+\)", re.DOTALL)
"""What Slicer's update_translations.py finds: ``_(``, literal strings, and at once the closing bracket."""


def calls_of_tr(file: Path) -> list[ast.Call]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "_"]


@pytest.mark.parametrize("file", TRANSLATED, ids=lambda file: file.name)
def test_translated_text_is_a_literal_that_slicers_extraction_finds(file: Path) -> None:
    source = file.read_text(encoding="utf-8")
    calls = calls_of_tr(file)
    for call in calls:
        (text,) = call.args
        assert isinstance(text, ast.Constant) and isinstance(text.value, str), f"line {call.lineno}"
        assert not call.keywords and "{}" not in text.value, f"line {call.lineno}: name the placeholders"
    assert len(calls) == len(EXTRACTED.findall(source)), f"a comma after the text in {file.name}"
