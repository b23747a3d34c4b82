"""A drawn training pair in sentences."""

from __future__ import annotations

from slicer.i18n import tr as _

from .pair_folder import PreviewPair

FOLDED_DECIMALS = 2
TIMES = "\u00d7"


def pair_words(pair: PreviewPair) -> str:
    """How far it moves, whether it folds, how volumes change, how much both images show, and which pair it is."""
    numbers, drawn = pair.statistics, pair.parameters
    moves = _("The motion is {mean} mm on average, {p95} mm at the 95th percentile, {largest} mm at most.").format(
        mean=_mm(numbers["mean"]), p95=_mm(numbers["p95"]), largest=_mm(numbers["largest"])
    )
    folding = numbers["folding_percent"]
    folds = _("Nothing folds.") if folding == 0 else _("{percent} % folds.").format(percent=_folded(folding))
    volumes = _("Volumes change by factors from {low} to {high} (Jacobian determinant).").format(
        low=f"{numbers['jacobian_min']:.2f}", high=f"{numbers['jacobian_max']:.2f}"
    )
    share = f"{pair.seen_by_both_percent:.0f}"
    seen = _("Both images show {percent} % of the lungs (or the body).").format(percent=share)
    size = TIMES.join(map(str, pair.fixed.geometry.size))
    spacing = TIMES.join(f"{mm:.3g}" for mm in pair.fixed.geometry.spacing)
    which = _("Pair {number} of '{scan}': {size} voxels of {spacing} mm.").format(
        number=drawn["index"] + 1, scan=drawn["source"], size=size, spacing=spacing
    )
    return "\n".join([moves, f"{folds} {volumes}", seen, which])


def _mm(value: float) -> str:
    return f"{value:.1f}"


def _folded(percent: float) -> str:
    """A fold is told even when it is small."""
    return f"{percent:.{FOLDED_DECIMALS}f}" if percent >= 10**-FOLDED_DECIMALS else "< 0.01"
