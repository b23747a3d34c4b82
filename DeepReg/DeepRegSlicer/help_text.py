"""What the help and acknowledgement tabs of the module say."""

from __future__ import annotations

from slicer.i18n import tr as _

DOCUMENTATION = "https://github.com/SlicerDeepReg/SlicerDeepReg"
PAPERS = (
    "K. A. J. Eppenhof, M. W. Lafarge, P. Moeskops, M. Veta, J. P. W. Pluim: Deformable image registration using "
    "convolutional neural networks. Proc. SPIE 10574, 2018.",
    "K. A. J. Eppenhof, M. W. Lafarge, M. Veta, J. P. W. Pluim: Progressively trained convolutional neural networks "
    "for deformable image registration. IEEE Transactions on Medical Imaging 39, 2020.",
    "X. Cao, J. Yang, J. Zhang, D. Nie, M. Kim, Q. Wang, D. Shen: Deformable image registration based on "
    "similarity-steered CNN regression. MICCAI 2017.",
    "M.-H. Laves, S. Ihler, T. Ortmaier: Deformable medical image registration using a randomly-initialized CNN as "
    "regularization prior. MIDL 2019.",
)


def contributors() -> list[str]:
    """As Slicer lists them."""
    return ["The SlicerDeepReg developers"]


def help_text() -> str:
    """Steps first; research use last, where it is found."""
    steps = _(
        "Aligns two scans of the same anatomy in seconds and shows how well they fit. "
        "<ol><li>Choose the fixed and the moving image, or <i>Load pair...</i></li>"
        "<li>Press <i>Register</i>.</li>"
        "<li>Look at it under <i>Review</i>; with landmarks in both images, <i>Landmarks</i> shows the errors.</li>"
        "</ol>"
        "The transform belongs to what was seen in the moving image: <i>Also move</i> applies it to structures. "
        "Try it with the samples of the category <i>DeepReg</i> in the module Sample Data."
    )
    research = _("Research software; not for decisions about patients.")
    return f'<p>{steps}</p><p><a href="{DOCUMENTATION}">{DOCUMENTATION}</a></p><p>{research}</p>'


def training_help_text() -> str:
    """The same for the training module."""
    steps = _(
        "Trains registration networks on your own scans, in the background; motion is computed, so single scans are "
        "enough. "
        "<ol><li>Choose a folder of scans and <i>Check</i> it.</li>"
        "<li>Choose what to train; <i>Preview</i> shows what the network will see.</li>"
        "<li><i>Start</i>. It goes on when Slicer is closed; <i>Runs</i> finds it again.</li>"
        "<li>Under <i>Models</i>, <i>Use the run</i> puts its best state into DeepReg's list of methods.</li></ol>"
    )
    research = _("Research software; not for decisions about patients.")
    return f'<p>{steps}</p><p><a href="{DOCUMENTATION}">{DOCUMENTATION}</a></p><p>{research}</p>'


def acknowledgement() -> str:
    """The papers whose networks are built in."""
    papers = "".join(f"<li>{paper}</li>" for paper in PAPERS)
    return _("The methods follow these papers:") + f"<ul>{papers}</ul>"
