#!/usr/bin/env python3
"""Draws the pictures in Resources/Screenshots from a registration of the phantom, which takes a minute, and from a
training, which takes some more.

    .venv/bin/python Testing/screenshots/make_screenshots.py [FOLDER]

The panels are the modules' own on the stand-in host (only their frame is not Slicer's), registration and training are
real, and the views are drawn by 3D Slicer's displayable managers.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / folder) for folder in ("DeepReg", "Testing", "Testing/render")]

if TYPE_CHECKING:
    from desk import Desk
    from training_desk import TrainingDesk

PHANTOM = {"size": (224, 176, 192)}
"""Finer than the sample of the module Sample Data, so that the pictures are sharp; else the same."""
PANEL_PIXELS = 400
WINDOW_PIXELS = (1600, 1000)
GAP_PIXELS = 4
VIEW_PIXELS = (
    (WINDOW_PIXELS[0] - PANEL_PIXELS - 2 * GAP_PIXELS) // 2,
    (WINDOW_PIXELS[1] - GAP_PIXELS) // 2,
)
REVIEW_PIXELS = (420, 392)
"""The shape of the phantom's coronal section."""
CAPTION_PIXELS, LETTER_PIXELS = 30, 17
LANDMARK_VIEW_WIDTH, LANDMARK_ZOOM = 500, 1.25
PLACE = (62.0, -20.0, -8.0)
"""RAS mm: the fork of the trachea in the coronal, the middle of a lung in the sagittal view."""
GAP_COLOUR = (60, 60, 60)
DIRECTION, CLOSER = (0.6, 0.8, 0.4), 1.35
"""Of the 3-D view, RAS: from the front and a little from the side and above, so near that the chest fills it."""
STEPS, SHOWN_AT_STEP = 300, 240
"""Of the training: so many that the curves fall, and not the last, because a run at work has more to show."""
TRAINING_WIDTH = 1408
SAMPLE_PIXELS = (332, 332)
UNSEEN = 6
"""A pixel may change by this much (of 255) when colours are put on a palette."""


def main(folder: Path) -> None:
    from desk import Desk
    from training_desk import TrainingDesk

    with Desk(VIEW_PIXELS) as desk:
        desk.load_phantom(**PHANTOM)
        desk.register()
        for name, picture in (
            ("DeepReg", whole_window(desk)),
            ("DeepReg-review", review(desk)),
            ("DeepReg-landmarks", landmarks(desk)),
        ):
            path = folder / f"{name}.png"
            save(picture, path)
    with TrainingDesk(SAMPLE_PIXELS) as desk:
        save(training(desk), folder / "DeepRegTrain.png")


def training(desk: TrainingDesk) -> Image.Image:
    """The training panel with a run at work, beside its sample pair and its curves."""
    desk.train(STEPS, SHOWN_AT_STEP)
    slices = in_a_row(*map(Image.fromarray, desk.slices()))
    panel = panel_picture(desk)
    width = (TRAINING_WIDTH - PANEL_PIXELS - 2 * GAP_PIXELS) // 2
    plots = in_a_row(*map(Image.fromarray, desk.plots((width, panel.height - slices.height - GAP_PIXELS))))
    return in_a_row(panel, in_a_column(slices, plots))


def whole_window(desk: Desk) -> Image.Image:
    """The panel after the run beside the four views, the deformation grid on."""
    for section in ("optionalInputsSection", "resultSection"):
        getattr(desk.ui, section).collapsed = True  # for the numbers further down
    desk.ui.gridButton.click()
    desk.show_points(fixed=True, moving=False)  # the moving ones lie where they were before
    desk.fit_all(VIEW_PIXELS)
    desk.go_to(PLACE)
    desk.show_slices_in_3d()
    desk.three_d.look_at(desk.parameters.fixedVolume, DIRECTION, CLOSER)
    desk.wait()
    red, green, yellow = (Image.fromarray(view.picture()) for view in desk.slices.values())
    right = in_a_column(in_a_row(red, Image.fromarray(desk.three_d.picture())), in_a_row(green, yellow))
    panel = panel_picture(desk).crop((0, 0, PANEL_PIXELS, right.height))
    desk.ui.gridButton.click()
    return in_a_row(panel, right)


def review(desk: Desk) -> Image.Image:
    """One coronal slice before and after, with the grid and with the displacement in colours."""
    from DeepRegSlicer.parameters import Overlay

    desk.show_points(fixed=False, moving=False)
    desk.fit("Green", REVIEW_PIXELS)
    desk.go_to(PLACE)
    pictures = []

    def add(caption: str) -> None:
        desk.wait()
        pictures.append(with_caption(Image.fromarray(desk.slices["Green"].picture()), caption))

    desk.ui.beforeButton.click()
    add("Fixed and moving image before")
    desk.ui.beforeButton.click()
    add("Fixed and warped image after")
    desk.ui.gridButton.click()
    add("Deformation grid")
    desk.ui.gridButton.click()
    desk.parameters.overlay = Overlay.DISPLACEMENT
    add("Displacement")
    desk.parameters.overlay = Overlay.NONE
    return in_a_row(*pictures)


def landmarks(desk: Desk) -> Image.Image:
    """The section *Landmarks*, and its error arrows before and after in the coronal slice with the most landmarks."""
    section = section_picture(desk)
    from desk import landmarks_ras

    places = landmarks_ras(desk)
    arrows_in = [int((np.abs(places[:, 1] - y) < 3).sum()) for y in places[:, 1]]
    desk.show_points(fixed=False, moving=False)
    desk.fit("Green", (LANDMARK_VIEW_WIDTH, section.height - CAPTION_PIXELS))
    desk.zoom("Green", LANDMARK_ZOOM)
    desk.go_to(tuple(places[int(np.argmax(arrows_in))]))
    desk.ui.errorVectorsButton.click()
    pictures = []
    for caption in ("Errors before", "Errors after"):
        desk.ui.beforeButton.click()
        desk.wait()
        pictures.append(with_caption(Image.fromarray(desk.slices["Green"].picture()), caption))
    desk.ui.errorVectorsButton.click()
    return in_a_row(section, *pictures)


def panel_picture(desk: Desk | TrainingDesk) -> Image.Image:
    from slicer_host import screenshot

    with tempfile.TemporaryDirectory() as folder:
        return Image.open(screenshot(desk.representation, Path(folder) / "panel.png", PANEL_PIXELS)).convert("RGB")


def section_picture(desk: Desk) -> Image.Image:
    """The section *Landmarks*, cut out of the panel."""
    panel = panel_picture(desk)
    section = desk.ui.landmarksSection
    top = section.mapTo(desk.representation, section.rect.topLeft()).y()
    return panel.crop((0, top, PANEL_PIXELS, top + section.height))


def in_a_row(*pictures: Image.Image) -> Image.Image:
    width = sum(picture.width for picture in pictures) + GAP_PIXELS * (len(pictures) - 1)
    row = Image.new("RGB", (width, max(picture.height for picture in pictures)), GAP_COLOUR)
    left = 0
    for picture in pictures:
        row.paste(picture, (left, 0))
        left += picture.width + GAP_PIXELS
    return row


def in_a_column(above: Image.Image, below: Image.Image) -> Image.Image:
    column = Image.new("RGB", (above.width, above.height + GAP_PIXELS + below.height), GAP_COLOUR)
    column.paste(above, (0, 0))
    column.paste(below, (0, above.height + GAP_PIXELS))
    return column


def with_caption(picture: Image.Image, caption: str) -> Image.Image:
    framed = Image.new("RGB", (picture.width, picture.height + CAPTION_PIXELS), "white")
    framed.paste(picture, (0, 0))
    place = (picture.width / 2, picture.height + CAPTION_PIXELS / 2)
    ImageDraw.Draw(framed).text(place, caption, "black", ImageFont.load_default(LETTER_PIXELS), anchor="mm")
    return framed


def save(picture: Image.Image, path: Path) -> None:
    """As PNG, on a palette where the eye does not see it."""
    flat = picture.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    change = np.abs(np.asarray(flat.convert("RGB"), int) - np.asarray(picture, int)).max()
    (flat if change <= UNSEEN else picture).save(path, optimize=True)
    print(f"{path}: {picture.width} x {picture.height}, {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / "Resources" / "Screenshots")
