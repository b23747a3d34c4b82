"""How long something takes, in words."""

from __future__ import annotations

from slicer.i18n import tr as _

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
AS_SECONDS, AS_MINUTES, AS_HOURS = 1.5 * MINUTE, 1.5 * HOUR, 1.5 * DAY
"""Up to these, a duration is told in the smaller unit: nobody counts to 400 minutes."""


def duration_words(seconds: float) -> str:
    """Rounded to what is worth knowing: "50 s", "12 min", "3.5 h", "2.3 days"."""
    if seconds < AS_SECONDS:
        return _("{n} s").format(n=round(seconds))
    if seconds < AS_MINUTES:
        return _("{n} min").format(n=round(seconds / MINUTE))
    if seconds < AS_HOURS:
        return _("{n} h").format(n=f"{seconds / HOUR:.1f}")
    return _("{n} days").format(n=f"{seconds / DAY:.1f}")
