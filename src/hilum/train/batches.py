"""Films in memory for training: read once, preprocessed as they will be served, augmented in every epoch.

Some of a film's views show the lungs alone, hide them, or put the film in a frame. A network that names a finding
without seeing the lungs has learned something else: the hospital, a child's frame, the edge of the film. Where nothing
but the lungs is shown, it must find its answer there. Where they are hidden, it learns that nothing is known. Whether
that helps is measured on sources held out; see docs/log.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hilum.film.decode import read_film
from hilum.film.preprocess import Preprocessing, preprocess
from hilum.film.radiograph import Radiograph
from hilum.judge.shortcuts.occlusion import lung_cover
from hilum.train.augment import Augmentation
from hilum.train.policies import change_film

__all__ = [
    "COVER_PX",
    "Films",
    "batch_picture",
    "changed_batch",
    "epoch_order",
    "load_films",
    "packed_cover",
    "source_chances",
    "unpacked_cover",
    "view_lungs",
]

COVER_PX = 64
_NUM_THREADS = 2  # that read films; the decoders release the interpreter lock
_MOST_FRAME = 0.16  # of the side, on each side of the film
_FRAMED_SIDES = 0.6  # how often each side of a framed film has a strip
Order = list[np.ndarray]
_VIEWS = 1  # sets the views' random numbers apart from those of the other changes


@dataclass(frozen=True, eq=False)
class Films:
    """Preprocessed films and what they show.

    Attributes:
        pixels: (N, S, S) float16 in [0, 1]; half precision halves the memory and is used in training only. Validation
            films whose figures are reported are float32.
        labels: (N,) int, index into the findings; -1 where a film shows one of several.
        sources: (N,) int, the hospital or public set; None where it is not needed.
        kinds: (N, K) bool, the findings one of which a film shows; None where all are stated.
        covers: (N, 64, 8) uint8, where the lungs lie; None where it is not needed.
        own_px: (N,) int, the shorter side of each film in its file; None where it is not known.
    """

    pixels: np.ndarray
    labels: np.ndarray
    sources: np.ndarray | None = None
    kinds: np.ndarray | None = None
    covers: np.ndarray | None = None
    own_px: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: Sequence[int] | np.ndarray | slice) -> np.ndarray:
        """Return the films as the network takes them: (n, S, S, 1) float32."""
        return self.pixels[indices].astype(np.float32)[..., np.newaxis]

    def subset(self, indices: np.ndarray) -> Films:
        """Return some of the films."""
        optional = (self.sources, self.kinds, self.covers, self.own_px)
        more = (None if one is None else one[indices] for one in optional)
        return Films(self.pixels[indices], self.labels[indices], *more)

    def targets(self, num_findings: int) -> np.ndarray:
        """Return which findings each film may show, (N, K) bool: one, or several where that is all that is known."""
        if self.kinds is not None:
            return self.kinds
        return np.eye(num_findings, dtype=bool)[self.labels]

    def relabelled(self, chosen: Sequence[int]) -> Films:
        """Return the films for a network that distinguishes only some findings: those that show one of these.

        Args:
            chosen: The numbers of these findings here, in the network's order.
        """
        targets = self.targets(int(max(*chosen, self.labels.max())) + 1)
        if list(chosen) == list(range(targets.shape[1])):
            return self
        kept = self.subset(np.flatnonzero(targets.sum(axis=1) == targets[:, chosen].sum(axis=1)))
        numbers = np.array([chosen.index(label) if label in chosen else -1 for label in range(targets.shape[1])])
        labels = np.where(kept.labels >= 0, numbers[kept.labels], -1)
        kinds = None if kept.kinds is None else kept.kinds[:, chosen]
        return replace(kept, labels=labels, kinds=kinds)

    def joined(self, others: Films) -> Films:
        """Return these films and others, whose kinds say how many findings there are."""
        if others.kinds is None or self.sources is None or others.sources is None:
            raise ValueError("Expected films with sources, and others with kinds.")
        return Films(
            np.concatenate([self.pixels, others.pixels]),
            np.concatenate([self.labels, others.labels]),
            np.concatenate([self.sources, others.sources]),
            np.concatenate([self.targets(others.kinds.shape[1]), others.kinds]),
            None if self.covers is None or others.covers is None else np.concatenate([self.covers, others.covers]),
            None if self.own_px is None or others.own_px is None else np.concatenate([self.own_px, others.own_px]),
        )


def load_films(
    paths: Sequence[Path],
    labels: np.ndarray,
    preprocessing: Preprocessing,
    *,
    exact: bool = False,
) -> Films:
    """Read and preprocess films in threads, in order.

    Args:
        paths: N files, all known to be readable.
        labels: (N,) int.
        preprocessing: The one definition, the same as at serving.
        exact: Whether pixels are float32, as they are served; half precision moves a logit by some hundredths.

    Returns:
        The films.

    Raises:
        UndecodableFilm, UnsupportedFilm: A film cannot be read.
    """
    size = preprocessing.size_px
    pixels = np.empty((len(paths), size, size), np.float32 if exact else np.float16)

    def load(position: int) -> None:
        radiograph = read_film(paths[position], min_side_px=preprocessing.decoded_px)
        pixels[position] = preprocess(radiograph, preprocessing)[0]

    with ThreadPoolExecutor(_NUM_THREADS) as pool:
        for _ in pool.map(load, range(len(paths))):
            pass
    return Films(pixels, np.asarray(labels, dtype=np.int64))


def epoch_order(num_films: int, batch_size: int, rng: np.random.Generator, chances: np.ndarray | None = None) -> Order:
    """Return the films of each batch of one epoch, as arrays of their positions, in random order.

    Args:
        num_films: N.
        batch_size: Films in a batch, about: all batches are of one size or one film apart.
        rng: Decides the order.
        chances: (N,) how likely each film is drawn, with replacement; without, each film comes once.
    """
    order = rng.permutation(num_films if chances is None else _draw(chances / chances.sum(), rng))
    return np.array_split(order, max(1, round(len(order) / batch_size)))


def changed_batch(
    films: Films, indices: np.ndarray, policy: Augmentation, *, drawn: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return some films, each changed at random.

    Args:
        films: The films.
        indices: (n,) int, the positions of the chosen ones.
        policy: How each is changed.
        drawn: Whole numbers that decide every change, together with the film and its place among the chosen ones.

    Returns:
        Films (n, S, S, 1) float32 in [0, 1], and whether their lungs are hidden (n,) bool.

    Raises:
        ValueError: The policy needs lungs, and the films come without.
    """
    covers = films.covers if policy.needs_lungs else None
    if policy.needs_lungs and covers is None:
        raise ValueError("The augmentation shows or hides lungs; expected films with covers.")
    batch, hidden = films.batch(indices), np.zeros(len(indices), dtype=bool)
    for place, (film, index) in enumerate(zip(batch, indices, strict=True)):
        numbers = (*drawn, int(index), place)
        cover = None if covers is None else unpacked_cover(covers[index], film.shape[0])
        view, hidden[place] = view_lungs(film[..., 0], cover, policy, np.random.default_rng((*numbers, _VIEWS)))
        own_px = None if films.own_px is None else int(films.own_px[index])
        film[..., 0] = change_film(view, policy, np.random.default_rng(numbers), own_px=own_px)
    return batch, hidden


def source_chances(films: Films, num_findings: int) -> np.ndarray:
    """Return how likely each film is to be drawn (N,), summing to 1, so that no large source drowns the small ones.

    Every finding has the same share, apart from films that show one of several findings: these say little, and have
    the share that they have among the films. Within a finding a source has the share of the square root of its films,
    so that twenty films are not repeated sixty-fold.
    """
    targets = films.targets(num_findings)
    keys = np.column_stack([targets, films.sources if films.sources is not None else films.labels])
    _, which, counts = np.unique(keys[:, :-1], axis=0, return_inverse=True, return_counts=True)
    _, cell, in_cell = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    which, chances = which.ravel(), 1 / np.sqrt(in_cell[cell.ravel()])
    is_open = np.zeros(len(counts), bool)
    is_open[which] = targets.sum(axis=1) > 1
    shares = np.where(is_open, counts / len(films), 0.0)
    shares[~is_open] = (1 - shares.sum()) / max(np.count_nonzero(~is_open), 1)
    return np.asarray(chances * (shares / np.bincount(which, weights=chances))[which] / shares.sum())


def _draw(chances: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return as many positions as there are chances, each as often as its chance says, to the next whole number."""
    points = (np.arange(len(chances)) + rng.random()) / len(chances)  # systematic sampling
    return np.minimum(np.searchsorted(np.cumsum(chances), points), len(chances) - 1)


def packed_cover(radiograph: Radiograph) -> np.ndarray:
    """Return where a film's lungs lie, hulls and some rim: (64, 8) uint8, a bit a place."""
    cover = lung_cover(radiograph).astype(np.uint8)
    small = cv2.resize(cover, (COVER_PX, COVER_PX), interpolation=cv2.INTER_NEAREST)
    return np.packbits(small.astype(bool), axis=1)


def unpacked_cover(packed: np.ndarray, size_px: int) -> np.ndarray:
    """Return a packed cover as (S, S) bool."""
    cover = np.unpackbits(packed, axis=1)
    return cv2.resize(cover, (size_px, size_px), interpolation=cv2.INTER_LINEAR).astype(bool)


def view_lungs(
    film: np.ndarray, cover: np.ndarray | None, policy: Augmentation, rng: np.random.Generator
) -> tuple[np.ndarray, bool]:
    """Return a film as the policy lets it be seen, and whether its lungs are hidden.

    Args:
        film: (S, S) float32 in [0, 1]; left as it is.
        cover: (S, S) bool, where the lungs lie; needed where the policy shows lungs alone or hides them. Where it is
            empty the film is left whole.
        policy: How often which view is taken.
        rng: Decides.
    """
    draw, is_framed = rng.random(2)
    hidden = False
    if cover is not None and cover.any() and draw < policy.lungs_only_probability + policy.lungs_hidden_probability:
        hidden = draw >= policy.lungs_only_probability
        film = np.where(cover == hidden, np.float32(rng.choice((0.0, 0.5, rng.random()))), film)
    if is_framed < policy.frame_probability:
        film = film.copy()
        grey = np.float32(rng.choice((0.0, 1.0, 0.5, rng.random())))
        strips = rng.uniform(0, _MOST_FRAME, 4) * (rng.random(4) < _FRAMED_SIDES) * film.shape[0]
        top, bottom, left, right = strips.astype(int)
        film[:top] = film[len(film) - bottom :] = grey
        film[:, :left] = film[:, film.shape[1] - right :] = grey
    return film, hidden


_MOST_FILMS, _IN_A_ROW = 16, 4
_FILM_PX, _GAP_PX, _TEXT_PX = 192, 8, 14


def batch_picture(films: np.ndarray, targets: np.ndarray, findings: Sequence[str]) -> np.ndarray:
    """Return the first films of a batch, at most 16, as a grid with their findings under them: (H, W) uint8, grey.

    Args:
        films: (n, S, S, 1) float32 in [0, 1], as `hilum.train.feed.FilmBatches` gives them.
        targets: (n, K) float32, what is known of each film.
        findings: The K names.
    """
    shown = min(len(films), _MOST_FILMS)
    columns = min(shown, _IN_A_ROW)
    width, height = _FILM_PX + _GAP_PX, _FILM_PX + _GAP_PX + 2 * (_TEXT_PX + 4)
    page = Image.new("L", (columns * width + _GAP_PX, -(-shown // columns) * height + _GAP_PX), 255)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(_TEXT_PX)
    for number in range(shown):
        left, top = _GAP_PX + number % columns * width, _GAP_PX + number // columns * height
        film = Image.fromarray((films[number, ..., 0] * 255).round().clip(0, 255).astype(np.uint8))
        page.paste(film.resize((_FILM_PX, _FILM_PX), Image.Resampling.BILINEAR), (left, top))
        for line, words in enumerate(_words(targets[number], findings)):
            fitting = words
            while font.getlength(fitting) > _FILM_PX:
                fitting = f"{fitting[:-2]}…"
            draw.text((left, top + _FILM_PX + 2 + line * (_TEXT_PX + 3)), fitting, fill=0, font=font)
    return np.asarray(page)


def _words(target: np.ndarray, findings: Sequence[str]) -> list[str]:
    """Return what is known of a film (K,), in at most two lines."""
    if np.allclose(target, 1 / len(target)):
        return ["lungs hidden"]  # so nothing is known
    known = [index for index in np.argsort(-target, kind="stable") if target[index] > 0]
    if target.sum() > 1.5 and len(known) > 1:
        return ["one of:", ", ".join(findings[index] for index in known)]
    shares = [f" {100 * target[index]:.0f} %" if len(known) > 1 else "" for index in known]
    return [findings[index] + share for index, share in zip(known, shares, strict=True)][:2]
