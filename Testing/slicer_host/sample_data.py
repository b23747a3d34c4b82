"""``SampleData``: remembers what modules register, in ``slicer.modules.sampleDataSources`` as Slicer does
(Modules/Scripted/SampleData/SampleData.py). It downloads nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import slicer


@dataclass
class SampleDataSource:
    """The arguments of the registration, each list-like one as a list."""

    sampleName: str | None = None
    uris: list[str] = field(default_factory=list)
    fileNames: list[str | None] = field(default_factory=list)
    nodeNames: list[str | None] = field(default_factory=list)
    checksums: list[str | None] = field(default_factory=list)
    loadFileTypes: list[str | None] = field(default_factory=list)
    loadFiles: list[bool | None] = field(default_factory=list)
    customDownloader: Callable[..., Any] | None = None
    thumbnailFileName: str | None = None
    loadFileProperties: dict[str, Any] = field(default_factory=dict)


class SampleDataLogic:
    @staticmethod
    def registerCustomSampleDataCategory(category: str, title: str) -> None:
        """Slicer 5.12 and later."""
        _table("sampleDataSourceCategories").setdefault(category, {})["title"] = title

    @staticmethod
    def registerCustomSampleDataSource(
        category: str = "Custom",
        sampleName: str | None = None,
        uris: Any = None,
        fileNames: Any = None,
        nodeNames: Any = None,
        customDownloader: Callable[..., Any] | None = None,
        thumbnailFileName: str | None = None,
        loadFileTypes: Any = None,
        loadFiles: Any = None,
        loadFileProperties: dict[str, Any] | None = None,
        checksums: Any = None,
    ) -> None:
        if uris is None or (fileNames is None and not isinstance(uris, str)):
            raise TypeError("uris and fileNames are needed, one entry per file, with a customDownloader too")
        addresses = _list(uris)
        columns = {"fileNames": fileNames, "nodeNames": nodeNames, "checksums": checksums}
        columns |= {"loadFileTypes": loadFileTypes, "loadFiles": loadFiles}
        lists = {name: _list(value) or [None] * len(addresses) for name, value in columns.items()}
        if isinstance(loadFileTypes, str):
            lists["loadFileTypes"] = [loadFileTypes] * len(addresses)
        for name, values in lists.items():
            if len(values) != len(addresses):
                raise ValueError(f"{name} has {len(values)} entries for {len(addresses)} uris")
        source = SampleDataSource(
            sampleName=sampleName,
            uris=addresses,
            customDownloader=customDownloader,
            thumbnailFileName=thumbnailFileName,
            loadFileProperties=dict(loadFileProperties or {}),
            **lists,
        )
        sources = _table("sampleDataSources").setdefault(category, [])
        if source not in sources:
            sources.append(source)

    @staticmethod
    def sampleDataSourcesByCategory(category: str | None = None) -> Any:
        table = _table("sampleDataSources")
        return table if category is None else table.get(category, [])


def _list(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]


def _table(name: str) -> dict[str, Any]:
    if not hasattr(slicer.modules, name):
        setattr(slicer.modules, name, {})
    return getattr(slicer.modules, name)
