"""Colours for what the report shows: overlays, motion, stretch. Everything becomes a small PNG."""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path

import numpy as np

WINDOW_PERCENTILES = (1.0, 99.5)
"""Grey values between these shares of the shown pixels are told apart."""
REGION_BRIGHTNESS = 0.75
"""The brightest values of the region are shown this bright; the rest is left for what is brighter around it."""
GREY_SHARE = 0.3
"""How much of the scan shines through a colour map, so that the place can be recognised."""
OUTSIDE_SHARE = 0.15
"""How much of the colour is left outside of the region, where the match does not count."""
STRETCH_LIMIT = 2.0
"""The colours of the Jacobian map end at half and at twice the volume."""

DIVERGING = np.array([[38, 84, 165], [110, 160, 214], [240, 240, 236], [226, 146, 110], [158, 42, 43]], float)
"""Blue, white, red: smaller, equal and larger volume; distinguishable with red-green colour blindness."""
SEQUENTIAL = np.array([[28, 22, 68], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]], float)
"""Dark to bright like matplotlib's viridis, of equal steps of lightness."""
FOLDED = np.array([255, 214, 0], float)


def tone(values: list[np.ndarray], counted: list[np.ndarray]) -> np.ndarray:
    """Grey values (3,) that become black, ``REGION_BRIGHTNESS`` and white, from all pictures of one image (NaN is no
    value): most of the brightness goes to what is ``counted`` (same shapes, bool), so that vessels in a lung are seen,
    and the rest still tells bone from muscle."""
    everything = np.concatenate([v[np.isfinite(v)] for v in values])
    region = np.concatenate([v[c & np.isfinite(v)] for v, c in zip(values, counted, strict=True)])
    if everything.size == 0:
        return np.array([0.0, 1.0, 2.0])
    low, highest = np.percentile(everything, WINDOW_PERCENTILES)
    high = np.percentile(region, WINDOW_PERCENTILES[1]) if region.size else highest
    high = max(high, low + 1e-6 * max(1.0, abs(low)))
    # Without anything brighter than the region, the white end lies where the same slope would take it.
    return np.array([low, high, max(highest, low + (high - low) / REGION_BRIGHTNESS)])


def grey(values: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Brightness 0 to 1 of an image by :func:`tone`; NaN becomes 0."""
    return np.nan_to_num(np.interp(values, stops, (0.0, REGION_BRIGHTNESS, 1.0)))


def overlay(fixed: np.ndarray, other: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Fixed in magenta, the other image in green (brightness 0 to 1): grey where they agree, (h, w, 3) uint8. Where the
    other image shows nothing (``shown`` false), the fixed one is dimmed grey."""
    green = np.where(shown, other, 0.5 * fixed)
    magenta = np.where(shown, fixed, 0.5 * fixed)
    return _bytes(np.stack([magenta, green, magenta], -1) * 255)


def grey_picture(values: np.ndarray) -> np.ndarray:
    """Brightness 0 to 1 as (h, w) uint8."""
    return _bytes(values * 255)


def stretch_picture(determinant: np.ndarray, background: np.ndarray, region: np.ndarray | None) -> np.ndarray:
    """Jacobian determinant, blue below 1 and red above, yellow where it folds, over the scan, (h, w, 3) uint8."""
    with np.errstate(invalid="ignore", divide="ignore"):
        level = np.log(np.maximum(determinant, 1e-3)) / np.log(STRETCH_LIMIT) / 2 + 0.5
        folds = determinant <= 0
    colours = ramp(np.nan_to_num(level, nan=0.5), DIVERGING)
    colours[folds] = FOLDED
    return _over(colours, background, region)


def motion_picture(
    length_mm: np.ndarray, largest_mm: float, background: np.ndarray, region: np.ndarray | None
) -> np.ndarray:
    """Length of the displacement, dark for none to bright yellow for ``largest_mm``, over the scan."""
    return _over(ramp(length_mm / max(largest_mm, 1e-6), SEQUENTIAL), background, region)


def ramp(level: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Colours (..., 3), 0 to 255, for levels 0 to 1.

    >>> ramp(np.array([0.0, 1.0]), SEQUENTIAL)[1].tolist()
    [253.0, 231.0, 37.0]
    """
    stops = np.linspace(0, 1, len(colours))
    return np.stack([np.interp(level, stops, colours[:, c]) for c in range(3)], -1)


def css_gradient(colours: np.ndarray) -> str:
    """The same colours as the stops of a CSS gradient, for the legend."""
    return ", ".join(f"rgb({r:.0f} {g:.0f} {b:.0f})" for r, g, b in colours)


def _over(colours: np.ndarray, background: np.ndarray, region: np.ndarray | None) -> np.ndarray:
    scan = background[..., None] * 255
    mixed = colours * (1 - GREY_SHARE + GREY_SHARE * background[..., None])
    if region is not None:
        share = np.where(region, 1.0, OUTSIDE_SHARE)[..., None]
        mixed = share * mixed + (1 - share) * scan
    return _bytes(mixed)


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def data_uris(pictures: dict[str, np.ndarray]) -> dict[str, str]:
    """Each picture, (h, w) or (h, w, 3) uint8, as a PNG inside a ``data:`` address."""
    import SimpleITK as sitk

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, pixels) in enumerate(pictures.items()):
            path = Path(folder) / f"{number}.png"
            sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=pixels.ndim == 3), str(path), useCompression=True)
            found[name] = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
    return found
