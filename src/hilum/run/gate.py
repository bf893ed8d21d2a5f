"""The gate: reasons not to judge a film, found before or beside the network's answer."""

from __future__ import annotations

from hilum.film.radiograph import Radiograph
from hilum.run.answer import Reason

__all__ = ["MIN_SIDE_PX", "refusals"]

MIN_SIDE_PX = 64
_LEAST_CONTRAST = 0.02  # of the range; a film without anything on it
_LATERAL_VIEWS = {"LATERAL", "LL", "RL", "LLD", "RLD"}


def refusals(radiograph: Radiograph) -> tuple[Reason, ...]:
    """Return why a film must not be judged; empty where nothing speaks against it."""
    reasons = []
    height, width = radiograph.original_size_px
    if min(height, width) < MIN_SIDE_PX:
        reasons.append(
            Reason("too-small", f"The film has {width}x{height} pixels; at least {MIN_SIDE_PX} a side are needed.")
        )
    pixels = radiograph.pixels
    if float(pixels.std()) < _LEAST_CONTRAST:
        reasons.append(Reason("constant", "The film shows next to no contrast."))
    if (radiograph.view_position or "").upper() in _LATERAL_VIEWS:
        reasons.append(Reason("lateral", "The file says that this is a lateral view; only frontal films are judged."))
    return tuple(reasons)
