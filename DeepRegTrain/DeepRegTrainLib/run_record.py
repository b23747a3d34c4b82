"""What decides a run, as a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from DeepRegLib.errors import BadInput

from .pairs import Preset
from .run_folder.layout import RunFolder, read_json
from .settings import Settings


@dataclass(frozen=True)
class RunRecord:
    """What ``config.json`` holds: everything that decides a run, and where it ran."""

    settings: Settings
    pair_preset: Preset
    about: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return {"settings": self.settings.to_dict(), "pairs": self.pair_preset.to_dict(), "about": self.about}

    @classmethod
    def read(cls, run: RunFolder) -> RunRecord:
        """Raises :class:`~DeepRegLib.errors.BadInput`."""
        content = read_json(run.config)
        try:
            settings, pairs, about = (content[name] for name in ("settings", "pairs", "about"))
        except KeyError as error:
            raise BadInput(f"'{run.config}' is damaged: {error} is missing.") from error
        return cls(Settings.from_dict(settings), Preset.from_dict(pairs), about)
