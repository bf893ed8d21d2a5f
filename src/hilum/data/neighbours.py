"""Candidates for twins: of each film the few others that one of its cut-outs, mirrored or not, resembles most.

Each film is described by a coarse picture, whitened on the films themselves, for what all chests share must not count.
It asks with 98 of them: seven windows along each side, upright and mirrored. Descriptions lie in cells of alike ones,
and a question looks into the nearest cells only, so that the time grows with the power 1.5 of the number of films at
most. Cells are cut into equal halves: a crowd of near-identical films fills many small cells and not a huge one.

Source: whitening after Jégou and Chum, "Negative evidences and co-occurences in image retrieval", ECCV 2012; search in
cells after Sivic and Zisserman, "Video Google", ICCV 2003.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

__all__ = ["SIDE_PX", "WINDOWS", "Neighbours", "nearest_neighbours"]

SIDE_PX = 64  # of the pictures compared
_CUTS = (  # off the two ends of a side
    (0.0, 0.0),
    (0.05, 0.0),
    (0.0, 0.05),
    (0.09, 0.0),
    (0.0, 0.09),
    (0.04, 0.04),
    (0.09, 0.09),
)
WINDOWS = tuple((left, right, top, bottom) for top, bottom in _CUTS for left, right in _CUTS)
_COARSE_PX = 32
_GRID = 16
_DIMENSIONS = 64
_FEW = 512  # so few films do not show what all share: then plain pictures, more neighbours, none too unlike
_MIN_SIMILARITY = 0.55
_MEAN_SHARE = 0.9  # of the films' mean is taken off: what is left holds copies together if all are copies of one film
_MIN_VARIANCE = 1e-3  # share of the mean square, from which a direction counts as more than noise
_MIN_CELL = 128
_NUM_PROBES = 20
_BLOCK = 128  # films that ask at once: about 100 MB
_SAMPLE = 4096


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Pairs of films worth a closer look.

    Attributes:
        first: (m,) int64, the film of which a cut-out was taken.
        second: (m,) int64, the film that it resembles; a pair may occur both ways.
        window: (m,) int64, which of WINDOWS was cut out: shares taken off at the left, right, top and bottom.
        mirrored: (m,) bool, whether the cut-out was then mirrored.
    """

    first: np.ndarray
    second: np.ndarray
    window: np.ndarray
    mirrored: np.ndarray


def nearest_neighbours(pictures: np.ndarray, *, num_neighbours: int = 10) -> Neighbours:
    """Return for each film the others it may be a twin of, found among all in less than quadratic time.

    Args:
        pictures: (n, 64, 64) float32, with the local contrast evened out.
        num_neighbours: At most so many a film; twice as many among fewer than 512 films.

    Returns:
        The pairs, by the first film and then the most similar first.
    """
    num_films = len(pictures)
    if num_films < 2:
        none = np.zeros(0, dtype=np.int64)
        return Neighbours(none, none, none, none.astype(bool))
    coarse = np.concatenate([_coarse(pictures[part]) for part in _blocks(num_films, 4096)])  # (n, 1024)
    learnt = num_films >= _FEW
    ask, offset, describe = _projections(coarse, learnt)
    base = _unit(coarse @ describe - offset)  # (n, d)
    cells = _cells(base, max(_MIN_CELL, int(np.sqrt(num_films))) if learnt else num_films)
    centres = _unit(np.stack([base[cell].mean(axis=0) for cell in cells]))
    kept = num_neighbours if learnt else 2 * num_neighbours
    threshold = _MIN_SIMILARITY if learnt else -1.0
    found = []
    for part in _blocks(num_films, _BLOCK):
        questions = _unit((coarse[part] @ ask).reshape(-1, base.shape[1]) - offset)  # (b * 98, d)
        found.append(_ask(questions, base, cells, centres, part.start, kept, threshold))
    first, second, variant = (np.concatenate(column) for column in zip(*found, strict=True))
    return Neighbours(first, second, variant % len(WINDOWS), variant >= len(WINDOWS))


def _ask(  # noqa: PLR0917 - the parts of one search
    questions: np.ndarray,
    base: np.ndarray,
    cells: list[np.ndarray],
    centres: np.ndarray,
    start: int,
    kept: int,
    threshold: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (first, second, variant) of the best answers to a block of films, the first of which is number start."""
    num_variants = 2 * len(WINDOWS)
    num_probes = min(_NUM_PROBES, len(cells))
    probed = np.argpartition(-(questions @ centres.T), num_probes - 1, axis=1)[:, :num_probes].ravel()
    order = np.argsort(probed, kind="stable")
    bounds = np.searchsorted(probed[order], np.arange(len(cells) + 1))
    hits = []
    for number, cell in enumerate(cells):
        rows = order[bounds[number] : bounds[number + 1]] // num_probes
        if not len(rows):
            continue
        films = rows // num_variants
        begins = np.flatnonzero(np.diff(films, prepend=-1))
        best = np.maximum.reduceat(questions[rows] @ base[cell].T, begins, axis=0)  # (films, members)
        film, member = np.nonzero(best > threshold)
        hits.append((films[begins][film], cell[member], best[film, member]))
    film, other, similarity = (np.concatenate(column) for column in zip(*hits, strict=True))
    order = np.lexsort((other, -similarity, film))
    order = order[film[order] + start != other[order]]
    film, other = film[order], other[order]
    top = np.arange(len(film)) - np.searchsorted(film, film) < kept
    film, other = film[top], other[top]
    by_film = questions.reshape(-1, num_variants, questions.shape[1])
    variant = np.concatenate(
        [
            np.einsum("pvd,pd->pv", by_film[film[some]], base[other[some]]).argmax(axis=1)
            for some in _blocks(len(film), 512)
        ]
        or [np.zeros(0, dtype=np.int64)]
    )
    return film + start, other, variant


# --- descriptions ---------------------------------------------------------------------------------------------------


def _projections(coarse: np.ndarray, learnt: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return matrices from coarse pictures to questions, (1024, 98 * d), an offset, (d,), and one to descriptions.

    All that is done to a picture before its length is set to 1 is linear, and so is one matrix.
    """
    along = [_window_matrix(*cut) for cut in _CUTS]  # each (16, 32)
    whole = np.kron(along[0], along[0]).T  # (1024, 256)
    matrix = np.eye(_GRID * _GRID, dtype=np.float32)
    matrix -= 1 / len(matrix)
    mean = np.zeros(len(matrix), dtype=np.float32)
    if learnt:
        step = -(-len(coarse) // _SAMPLE)
        sample = coarse[::step] @ whole
        mean = _MEAN_SHARE * sample.mean(axis=0)
        energy = float(np.square(sample).sum(axis=1).mean())
        values, vectors = np.linalg.eigh(np.cov(sample, rowvar=False))
        values, vectors = values[::-1][:_DIMENSIONS], vectors[:, ::-1][:, :_DIMENSIONS]
        floor = max(_MIN_VARIANCE * energy, 1e-9)
        matrix = (vectors / np.maximum(values, floor) ** 0.25).astype(np.float32)  # halfway to white
    mirror = matrix.reshape(_GRID, _GRID, -1)[:, ::-1].reshape(matrix.shape)
    ask = [np.kron(rows, columns).T @ side for side in (matrix, mirror) for rows in along for columns in along]
    return np.concatenate(ask, axis=1).astype(np.float32), mean @ matrix, whole @ matrix


def _window_matrix(low: float, high: float) -> np.ndarray:
    """Return the (16, 32) float32 matrix that cuts shares off both ends of a row and averages the rest to 16 pixels."""
    edges = np.linspace(low * _COARSE_PX, (1 - high) * _COARSE_PX, _GRID + 1)
    pixels = np.arange(_COARSE_PX)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    areas = np.clip(overlap, 0, None)
    steps = np.arange(_GRID)
    blur = np.exp(-0.5 * np.square((steps[:, None] - steps) / 0.7))
    weights = blur @ areas
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _coarse(pictures: np.ndarray) -> np.ndarray:
    shape = (len(pictures), _COARSE_PX, SIDE_PX // _COARSE_PX, _COARSE_PX, SIDE_PX // _COARSE_PX)
    return pictures.reshape(shape).mean(axis=(2, 4)).reshape(len(pictures), -1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 1e-6, length, np.inf)


# --- cells ----------------------------------------------------------------------------------------------------------


def _cells(base: np.ndarray, most: int) -> list[np.ndarray]:
    """Return the films in cells of at most so many, cut at the median along the direction of the widest spread."""
    waiting, cells = [np.arange(len(base))], []
    while waiting:
        cell = waiting.pop()
        if len(cell) <= most:
            cells.append(cell)
            continue
        sample = base[cell[:: -(-len(cell) // _SAMPLE)]]
        sample = sample - sample.mean(axis=0)
        direction = np.linalg.eigh(sample.T @ sample)[1][:, -1]
        order = np.argsort(base[cell] @ direction, kind="stable")
        waiting += [cell[order[: len(cell) // 2]], cell[order[len(cell) // 2 :]]]
    return cells


def _blocks(total: int, size: int) -> Iterator[slice]:
    return (slice(begin, min(begin + size, total)) for begin in range(0, total, size))
