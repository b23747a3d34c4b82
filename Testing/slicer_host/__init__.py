"""A strict stand-in for the 3D Slicer application around the real MRML library (package slicer-core).

:func:`install` puts ``qt``, ``ctk``, ``SampleData`` and, in the package ``slicer``, ``app``, ``modules``,
``mrmlScene``, ``i18n``, ``ScriptedLoadableModule``, ``parameterNodeWrapper``, ``packaging`` and the widgets in place.
What the stand-in does not know raises. Nodes, logics and ``slicer.util`` are the real ones.
"""

from slicer_host.installation import Host, install
from slicer_host.pictures import screenshot

__all__ = ["Host", "install", "screenshot"]
