"""Trivial models: what each sees of a film. None can read a lung, so none must be able to tell a finding.

Sources:
    Maguolo, Nanni 2021, A critic evaluation of methods for COVID-19 automatic detection from X-ray images (the same
    score with the lungs blacked out).
    DeGrave, Janizek, Lee 2021, AI for radiographic COVID-19 detection selects shortcuts over signal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hilum.judge.audit.traits import FilmTraits

__all__ = ["TRIVIAL_MODELS", "TrivialModel", "black_centre"]

_FRAME_PX = 3  # of 32: the centre 26 x 26, 81 % x 81 %, is blacked out


@dataclass(frozen=True)
class TrivialModel:
    """One trivial model.

    Attributes:
        name: Its key in audit.json.
        kind: The kind of fault it can find; None where its figure is only shown.
        title: What it sees, as a heading.
        sees: What it sees, to stand after "sees only".
        features: From the films' traits to numbers, (n, d) float.
        is_forest: A forest of random trees, else a support vector machine.
    """

    name: str
    kind: str | None
    title: str
    sees: str
    features: Callable[[Sequence[FilmTraits]], np.ndarray]
    is_forest: bool = False


def _thumbnails(traits: Sequence[FilmTraits], side_px: int = 32) -> np.ndarray:
    """Return thumbnails, (n, side, side) float64."""
    films = np.stack([one.thumbnail for one in traits]).astype(np.float64)
    step = films.shape[1] // side_px
    return films.reshape(len(films), side_px, step, side_px, step).mean(axis=(2, 4))


def _flat_thumbnails(side_px: int) -> Callable[[Sequence[FilmTraits]], np.ndarray]:
    return lambda traits: _thumbnails(traits, side_px).reshape(len(traits), -1)


def _frame(depth_px: int) -> Callable[[Sequence[FilmTraits]], np.ndarray]:
    kept = np.ones((32, 32), bool)
    kept[depth_px:-depth_px, depth_px:-depth_px] = False
    return lambda traits: _thumbnails(traits)[:, kept]


def black_centre(thumbnail: np.ndarray, depth_px: int = _FRAME_PX) -> np.ndarray:
    """Return a (32, 32) thumbnail without its centre, as the model sees it."""
    seen = thumbnail.copy()
    seen[depth_px:-depth_px, depth_px:-depth_px] = 0
    return seen


def _file_features(traits: Sequence[FilmTraits]) -> np.ndarray:
    """Return what files are like but for their size, one row a film: bits, compression, format and colour mode."""
    words = [sorted({getattr(one, name) for one in traits}) for name in ("file_format", "colour_mode")]
    return np.array(
        [
            [
                one.bit_depth,
                one.jpeg_quality,
                *(one.file_format == word for word in words[0]),
                *(one.colour_mode == word for word in words[1]),
            ]
            for one in traits
        ],
        dtype=np.float64,
    )


def _size_features(traits: Sequence[FilmTraits]) -> np.ndarray:
    sizes = [[*one.size_px, one.size_px[1] / one.size_px[0], one.bytes_per_pixel] for one in traits]
    return np.hstack([_file_features(traits), np.array(sizes, dtype=np.float64)])


def _edge_features(traits: Sequence[FilmTraits]) -> np.ndarray:
    return np.array([[*one.margins, *one.markers] for one in traits], dtype=np.float64)


TRIVIAL_MODELS: tuple[TrivialModel, ...] = (
    TrivialModel("thumbnail_16", "thumbnail", "16x16 pixels", "16x16 pixels of each film", _flat_thumbnails(16)),
    TrivialModel("thumbnail_8", "thumbnail", "8x8 pixels", "8x8 pixels of each film", _flat_thumbnails(8)),
    TrivialModel(
        "center_blacked",
        "center-blacked",
        "Centre blacked out",
        "films whose centre (81 % of each side) is blacked out",
        _frame(_FRAME_PX),
    ),
    TrivialModel("border_only", "border-only", "Outer frame", "the outermost 3 % of each film", _frame(1)),
    TrivialModel(
        "metadata",
        "class-by-source",
        "The file, not the picture",
        "what kind of file it is (size, format, bits, colour mode, compression)",
        _size_features,
        is_forest=True,
    ),
    TrivialModel(
        "metadata_without_size",
        None,
        "The same without its size",
        "what kind of file it is, without its size",
        _file_features,
        is_forest=True,
    ),
    TrivialModel(
        "edge",
        "class-by-source",
        "Margins and corner signs",
        "margins and burnt-in signs in the corners",
        _edge_features,
        is_forest=True,
    ),
)
