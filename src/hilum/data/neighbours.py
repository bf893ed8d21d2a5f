"""Finds candidates for twins: for each film the few others that resemble it, or a crop of it, mirrored or not.

Each film is described by a coarse picture, whitened over all films so that the common shape of the chest does not
count. Each film is searched for with 98 queries: 49 crop windows, upright and mirrored. Descriptions are sorted into
cells by similarity and a query searches the nearest cells only, so that the time grows at most with the power 1.5 of
the number of films. Cells are split into equal halves, so that many near-identical films fill many small cells.

Source: whitening after Jégou and Chum, "Negative evidences and co-occurences in image retrieval", ECCV 2012; search in
cells after Sivic and Zisserman, "Video Google", ICCV 2003.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

__all__ = ["SIDE_PX", "WINDOWS", "Neighbours", "nearest_neighbours"]

SIDE_PX = 64  # of the pictures compared
_CUTS = ((0.0, 0.0), (0.05, 0.0), (0.0, 0.05), (0.09, 0.0), (0.0, 0.09), (0.04, 0.04), (0.09, 0.09))  # of a side's ends
WINDOWS = tuple((left, right, top, bottom) for top, bottom in _CUTS for left, right in _CUTS)
_COARSE_PX = 32
_GRID = 16
_DIMENSIONS = 64
_FEW = 512  # fewer films are compared without whitening and without thresholds
_MIN_SIMILARITY = 0.55
_MIN_LIKENESS = 0.5  # correlation in the best window; one copy of a film in a thousand has less
_LEAST_FIRST_REACH = 0.65  # the lowest of 4,258 pairs of changed copies was 0.66
_RIDGE = 1e-4
_MOST_MOVE = 3.0  # pixels of the coarse picture
_MEAN_SHARE = 0.9  # share of the mean film that is subtracted; the rest serves sets of copies of one film
_MIN_VARIANCE = 1e-3  # of the mean square; directions with less variance are noise
_MIN_CELL = 128
_NUM_PROBES = 20
_BLOCK = 128  # films searched for at once, about 100 MB
_SAMPLE = 4096


@dataclass(frozen=True, eq=False)
class Neighbours:
    """m pairs of films that may be twins.

    Attributes:
        first: (m,) int64, the film that was cropped.
        second: (m,) int64, the film that the crop resembles; a pair may occur in both orders.
        window: (m,) int64, the position in WINDOWS: shares cut off at the left, right, top and bottom.
        mirrored: (m,) bool, whether the crop was mirrored.
        likeness: (m,) float32, the correlation of the two, at most 1.
        reach: (m,) float32, about the correlation that a small affine move can bring them to.
    """

    first: np.ndarray
    second: np.ndarray
    window: np.ndarray
    mirrored: np.ndarray
    likeness: np.ndarray
    reach: np.ndarray


def nearest_neighbours(pictures: np.ndarray, *, num_neighbours: int = 20) -> Neighbours:
    """Return the pairs of films that may be twins, sorted by the first film, the most similar pair first.

    Args:
        pictures: (n, 64, 64) float16 or float32, local contrast normalised.
        num_neighbours: The most pairs per film.
    """
    num_films = len(pictures)
    if num_films < 2:
        none = np.zeros(0, dtype=np.int64)
        return Neighbours(none, none, none, none.astype(bool), none.astype(np.float32), none.astype(np.float32))
    coarse = np.concatenate([_coarse(pictures[part]) for part in _blocks(num_films, 4096)])  # (n, 1024)
    learnt = num_films >= _FEW
    along = np.stack([_window_matrix(*cut) for cut in _CUTS])  # (7, 16, 32)
    whole = _windows(coarse, along[:1])[:, 0]  # (n, 256)
    matrix, offset = _projection(whole, learnt)
    base = _unit(whole @ matrix - offset)  # (n, d)
    cells = _cells(base, max(_MIN_CELL, int(np.sqrt(num_films))) if learnt else num_films)
    centres = _unit(np.stack([base[cell].mean(axis=0) for cell in cells]))
    index = _Index(base, cells, centres, _MIN_SIMILARITY if learnt else -1.0)
    found = []
    for part in _blocks(num_films, _BLOCK):
        seen = _windows(coarse[part], along)  # (b, 49, 256)
        both = np.concatenate([seen, _mirror(seen)], axis=1).reshape(-1, seen.shape[2])
        found.append(_ask(_unit(both @ matrix - offset), index, part.start, num_neighbours))
    first, second = (np.concatenate(column) for column in zip(*found, strict=True))
    near = _best_windows(pictures, coarse, first, second)
    alike = near.likeness > (_MIN_LIKENESS if learnt else -1.0)
    return Neighbours(*(column[alike] for column in vars(near).values()))


class _Index(NamedTuple):
    """The films' descriptions (n, d), the films of each cell, and the centres of the cells."""

    base: np.ndarray
    cells: list[np.ndarray]
    centres: np.ndarray
    threshold: float  # of similarity


def _ask(questions: np.ndarray, index: _Index, start: int, kept: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (first, second) of the best pairs of a block of films that begins with film ``start``."""
    base, cells, centres, threshold = index
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
    return film + start, other


def _best_windows(pictures: np.ndarray, coarse: np.ndarray, first: np.ndarray, second: np.ndarray) -> Neighbours:
    """Return for each pair the window of the first film that resembles the second most, mirrored or not.

    The pictures are twice as fine as those of the search, and not whitened.

    Args:
        pictures: (n, 64, 64).
        coarse: (n, 1024) float32, the same pictures at half the size.
        first: (m,) int64, sorted.
        second: (m,) int64.
    """
    along = np.stack([_window_matrix(*cut, from_px=SIDE_PX, to_px=_COARSE_PX, blur_px=0) for cut in _CUTS])
    window, likeness = np.zeros(len(first), dtype=np.int64), np.zeros(len(first), dtype=np.float32)
    mirrored, reach = np.zeros(len(first), dtype=bool), np.zeros(len(first), dtype=np.float32)
    bounds = np.flatnonzero(np.diff(first, prepend=-1, append=-1))
    for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        pairs = np.arange(end - begin)
        picture = pictures[first[begin]].astype(np.float32)
        seen = _unit(_centred(_windows(picture[None], along)[0]))  # (49, 1024)
        sides = _unit(_centred(coarse[second[begin:end]]))  # (p, 1024)
        alike = np.stack([seen @ sides.T, seen @ _mirror(sides).T], axis=2).transpose(1, 0, 2)  # (p, 49, 2)
        best = alike.reshape(len(pairs), -1).argmax(axis=1)
        window[begin:end], mirrored[begin:end] = best // 2, best % 2 == 1
        likeness[begin:end] = alike.reshape(len(pairs), -1)[pairs, best]
        views = seen[best // 2]
        views[best % 2 == 1] = _mirror(views[best % 2 == 1])
        reach[begin:end] = _reach(sides, views)
    return Neighbours(first, second, window, mirrored, likeness, reach)


def _windows(pictures: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Return the windows of each picture, as many as rows and columns can be cut: (b, w * w, side * side) float32.

    Args:
        pictures: (b, from * from) or (b, from, from).
        along: (w, side, from), the matrices that cut a row.
    """
    cuts, side_px, from_px = along.shape
    flat = along.reshape(-1, from_px)
    seen = flat @ pictures.reshape(-1, from_px, from_px) @ flat.T  # (b, w * side, w * side)
    parted = seen.reshape(-1, cuts, side_px, cuts, side_px).transpose(0, 1, 3, 2, 4)
    return parted.reshape(len(pictures), cuts * cuts, side_px * side_px)


def _mirror(pictures: np.ndarray) -> np.ndarray:
    """Return square pictures (..., side * side) with left and right exchanged."""
    side_px = math.isqrt(pictures.shape[-1])
    return pictures.reshape(-1, side_px, side_px)[:, :, ::-1].reshape(pictures.shape)


def _reach(pictures: np.ndarray, views: np.ndarray) -> np.ndarray:
    """Return about the correlation that a small affine move of each picture can reach with a view, (p,).

    Two steps of a linear approximation; a picture that the first brings nowhere near its view makes no second.

    Args:
        pictures: (p, 1024), each with mean 0 and length 1.
        views: (p, 1024), likewise.
    """
    reach, moves = _step(pictures, views)
    near = np.flatnonzero(reach >= _LEAST_FIRST_REACH)
    moved = np.zeros((len(near), pictures.shape[1]), np.float32)
    for place, number in enumerate(near):
        picture = pictures[number].reshape(_COARSE_PX, _COARSE_PX)
        flags, border = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, cv2.BORDER_REPLICATE
        moved[place] = cv2.warpAffine(picture, moves[number], picture.shape, flags=flags, borderMode=border).ravel()
    if len(near):
        reach[near] = np.maximum(reach[near], _step(_unit(_centred(moved)), views[near])[0])
    return reach


def _step(pictures: np.ndarray, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the correlation that a small move of each picture reaches (p,), and the moves (p, 2, 3)."""
    square = pictures.reshape(-1, _COARSE_PX, _COARSE_PX)
    along = np.arange(_COARSE_PX, dtype=np.float32) / _COARSE_PX - 0.5
    images = np.zeros((len(square), 7, _COARSE_PX, _COARSE_PX), np.float32)
    images[:, 0] = square
    images[:, 3, :, 1:-1] = (square[:, :, 2:] - square[:, :, :-2]) / 2
    images[:, 6, 1:-1] = (square[:, 2:] - square[:, :-2]) / 2
    for last in (3, 6):
        np.multiply(images[:, last], along, out=images[:, last - 2])
        np.multiply(images[:, last], along[:, None], out=images[:, last - 1])
    basis = images.reshape(len(square), 7, -1)
    told = basis @ views[:, :, None]  # (p, 7, 1); views have mean 0
    means = basis.mean(axis=2, keepdims=True)
    products = basis @ basis.transpose(0, 2, 1) - basis.shape[2] * means * means.transpose(0, 2, 1)
    solved = np.linalg.solve(products + _RIDGE * np.eye(7, dtype=np.float32), told)[:, :, 0]
    reach = np.sqrt(np.clip((told[:, :, 0] * solved).sum(axis=1), 0, 1))
    across, down, shift = (solved[:, [part, part + 3]] / np.maximum(solved[:, :1], 0.1) for part in (1, 2, 3))
    shift -= (across + down) / 2
    moves = np.stack([across / _COARSE_PX, down / _COARSE_PX, shift], axis=2)  # (p, 2, 3)
    return reach, np.clip(moves, -_MOST_MOVE, _MOST_MOVE) + np.eye(2, 3)


# --- descriptions ---------------------------------------------------------------------------------------------------


def _projection(whole: np.ndarray, learnt: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the matrix (256, d) from pictures to descriptions, and the offset (d,) that is subtracted after it."""
    matrix = np.eye(_GRID * _GRID, dtype=np.float32)
    matrix -= 1 / len(matrix)
    mean = np.zeros(len(matrix), dtype=np.float32)
    if learnt:
        sample = whole[:: -(-len(whole) // _SAMPLE)]
        mean = _MEAN_SHARE * sample.mean(axis=0)
        energy = float(np.square(sample).sum(axis=1).mean())
        values, vectors = np.linalg.eigh(np.cov(sample, rowvar=False))
        values, vectors = values[::-1][:_DIMENSIONS], vectors[:, ::-1][:, :_DIMENSIONS]
        floor = max(_MIN_VARIANCE * energy, 1e-9)
        matrix = (vectors / np.maximum(values, floor) ** 0.25).astype(np.float32)  # halfway to white
    return matrix, mean @ matrix


def _window_matrix(
    low: float, high: float, *, from_px: int = _COARSE_PX, to_px: int = _GRID, blur_px: float = 0.7
) -> np.ndarray:
    """Return the (to, from) float32 matrix that cuts shares off both ends of a row and averages the rest."""
    edges = np.linspace(low * from_px, (1 - high) * from_px, to_px + 1)
    pixels = np.arange(from_px)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights = np.clip(overlap, 0, None)
    if blur_px:
        steps = np.arange(to_px)
        weights = np.exp(-0.5 * np.square((steps[:, None] - steps) / blur_px)) @ weights
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _coarse(pictures: np.ndarray) -> np.ndarray:
    """Return (b, 1024) float32, each of 2 x 2 pixels averaged, of (b, 64, 64)."""
    shape = (len(pictures), _COARSE_PX, SIDE_PX // _COARSE_PX, _COARSE_PX, SIDE_PX // _COARSE_PX)
    return pictures.reshape(shape).mean(axis=(2, 4), dtype=np.float32).reshape(len(pictures), -1)


def _centred(vectors: np.ndarray) -> np.ndarray:
    return vectors - vectors.mean(axis=-1, keepdims=True)


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 1e-6, length, np.inf)


# --- cells ----------------------------------------------------------------------------------------------------------


def _cells(base: np.ndarray, most: int) -> list[np.ndarray]:
    """Return the films in cells of at most ``most``, split at the median along the direction of largest variance."""
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
