"""The words of DeepRegTrainLib in the user's language: motions, kinds of supervision, networks. The words themselves
come from its command line, which is read without torch; what it has and this list does not is shown by its own name."""

from __future__ import annotations

from dataclasses import dataclass

from slicer.i18n import tr as _

NETWORK_OF_PRESET = {"eppenhof2018": "vgg_grid", "eppenhof2020": "progressive_unet", "breathing": "correspondence"}
"""What goes with a motion when nothing else is chosen, as on the command line."""
MILLION = 1_000_000


@dataclass(frozen=True)
class Choice:
    """A ``word`` of the library with what people read for it."""

    word: str
    title: str
    description: str = ""


def presets() -> list[Choice]:
    """Kinds of training pairs."""
    from DeepRegTrainLib.commands.training import PRESETS

    known = [
        Choice(
            "breathing",
            _("Breathing"),
            _("Breathing with sliding along the ribs, change of density, noise, cut fields of view and single lungs."),
        ),
        Choice(
            "eppenhof2018",
            _("Thin-plate splines (Eppenhof 2018)"),
            _("Random displacements at 6 x 6 x 6 nodes and an affine offset, as in the paper."),
        ),
        Choice(
            "eppenhof2020",
            _("B-splines (Eppenhof 2020)"),
            _("Random B-splines on three scales, as in the paper."),
        ),
    ]
    return _in_order(PRESETS, known)


def supervisions() -> list[Choice]:
    """What the loss knows."""
    from DeepRegTrainLib.commands.training import SUPERVISIONS

    known = [
        Choice("supervised", _("The known motion (supervised)")),
        Choice("unsupervised", _("Likeness of the images (unsupervised)")),
        Choice("weakly", _("Outlines of the lungs (weakly supervised)")),
    ]
    return _in_order(SUPERVISIONS, known)


def networks() -> list[Choice]:
    """Architectures that can be trained."""
    from DeepRegTrainLib.commands.training import NETWORKS

    known = [
        Choice(
            "correspondence",
            _("Correspondence"),
            _("Compares features of both images over a search range, from coarse to fine, at 3 mm.")
            + _weights(980_432),
        ),
        Choice(
            "progressive_unet",
            _("Progressive U-Net"),
            _("Learns coarse motion first and adds finer levels on the way (Eppenhof 2020).") + _weights(19_263_263),
        ),
        Choice("unet", _("U-Net"), _("One displacement for each voxel, all levels at once.") + _weights(19_258_931)),
        Choice(
            "vgg_grid",
            _("Grid of displacements"),
            _("A row of convolutions that ends at a coarse grid of nodes (Eppenhof 2018); quick and smooth.")
            + _weights(1_165_155),
        ),
    ]
    return _in_order(NETWORKS, known)


def _weights(count: int) -> str:
    return " " + _("{n} million weights.").format(n=f"{count / MILLION:.1f}")


def _in_order(words: tuple[str, ...], known: list[Choice]) -> list[Choice]:
    by_word = {choice.word: choice for choice in known}
    return [by_word.get(word, Choice(word, word)) for word in words]
