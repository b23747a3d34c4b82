"""The pairs of DeepReg in Slicer's module Sample Data: the breathing phantom, made here, and a real lung pair.

Nothing is made or downloaded before a sample is clicked; a download is checked by its SHA-256. Slicer registers samples
at every start, so this module imports little before a click.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from DeepRegLib.datasets.sample_pairs import ROLES, SAMPLE_PAIRS, SamplePair
from DeepRegLib.errors import BadInput, DeepRegError
from slicer.i18n import tr as _

from .event_loop import soon
from .steps import StepRunner, Steps, finish

if TYPE_CHECKING:
    from .load_pair import PairNodes

CATEGORY = "DeepReg"
ICONS = Path(__file__).resolve().parents[1] / "Resources" / "Icons"
MESSAGE_MILLISECONDS = 5000
MOVING_OPACITY = 0.5
"""The moving scan is shown half transparent over the fixed one, so that one sees what there is to register."""


def register_sample_data() -> None:
    """Add the category *DeepReg* to the module Sample Data; called when Slicer has started."""
    import SampleData

    logic = SampleData.SampleDataLogic
    if hasattr(logic, "registerCustomSampleDataCategory"):  # since Slicer 5.12
        logic.registerCustomSampleDataCategory(CATEGORY, title=_("DeepReg"))
    for sample in SAMPLE_PAIRS:
        # SampleData.downloadSamples(name) ignores the downloader: scripts get the two scans that way.
        scans = [sample.file(role) for role in ROLES] if sample.files else []
        logic.registerCustomSampleDataSource(
            category=CATEGORY,
            sampleName=sample.title,
            thumbnailFileName=str(ICONS / f"DeepRegSample_{sample.key}.png"),
            uris=[file.url for file in scans],
            fileNames=[file.name for file in scans],
            nodeNames=[Path(file.name).stem for file in scans],
            checksums=[f"SHA256:{file.sha256}" for file in scans],
            customDownloader=SampleLoader(sample.key),
        )


def load_sample(key: str) -> PairNodes:
    """A sample (``"phantom"`` or ``"lung"``) in the scene, for scripts and tests; takes some seconds.

    Raises :class:`~DeepRegLib.errors.BadInput` when there is no such sample or its download failed.
    """
    return finish(_load_in_steps(_sample(key)))


@dataclass(frozen=True)
class SampleLoader:
    """What a click on a sample calls. A value, so that registering twice, after *Reload*, is seen as the same."""

    key: str

    def __call__(self, source: Any) -> None:
        """Load the pair bit by bit while the application goes on, then show it."""
        sample = _sample(self.key)
        slicer.util.showStatusMessage(_("Loading {title}...").format(title=sample.title))
        StepRunner(
            _load_in_steps(sample),
            soon,
            _show,
            _report,
        ).start()


def _sample(key: str) -> SamplePair:
    for sample in SAMPLE_PAIRS:
        if sample.key == key:
            return sample
    known = ", ".join(sample.key for sample in SAMPLE_PAIRS)
    raise BadInput(_("There is no sample '{key}'; choose one of {known}.").format(key=key, known=known))


def _load_in_steps(sample: SamplePair) -> Steps[PairNodes]:
    from .load_pair import load_sample_nodes_in_steps

    folder = None
    for file in sample.files:
        folder = _downloaded(file.url, file.name, file.sha256).parent
        yield
    return (yield from load_sample_nodes_in_steps(slicer.mrmlScene, sample, folder))


def _downloaded(url: str, name: str, sha256: str) -> Path:
    """The file in Slicer's download folder, where it stays for the next time."""
    import SampleData

    try:
        return Path(SampleData.SampleDataLogic().downloadFileIntoCache(url, name, f"SHA256:{sha256}"))
    except (ValueError, OSError) as error:
        raise BadInput(
            _("The sample '{name}' could not be downloaded.").format(name=name),
            _("Check the connection to {address}; the phantom needs none.").format(address=url.split("/")[2]),
        ) from error


def _show(pair: PairNodes) -> None:
    slicer.util.setSliceViewerLayers(
        background=pair.fixed, foreground=pair.moving, foregroundOpacity=MOVING_OPACITY, fit=True
    )
    slicer.util.showStatusMessage(_("{name} is loaded.").format(name=pair.name), MESSAGE_MILLISECONDS)


def _report(error: Exception) -> None:
    slicer.util.showStatusMessage("")
    if not isinstance(error, DeepRegError):
        raise error
    slicer.util.errorDisplay(f"{error} {error.hint}".strip())
