"""Films in memory for training: read once, preprocessed as they will be served, augmented anew every epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hilum.film.decode import read_film
from hilum.film.preprocess import Preprocessing, preprocess
from hilum.train.augment import Augmentation, augment

__all__ = ["Films", "epoch_batches", "load_films"]


@dataclass(frozen=True, eq=False)
class Films:
    """Preprocessed films and what they show.

    Attributes:
        pixels: (N, S, S) float16 in [0, 1]; half precision halves the memory and is used in training only.
        labels: (N,) int, index into the findings.
    """

    pixels: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: Sequence[int] | np.ndarray | slice) -> np.ndarray:
        """Return the films as the network takes them: (n, S, S, 1) float32."""
        return self.pixels[indices].astype(np.float32)[..., np.newaxis]

    def subset(self, indices: np.ndarray) -> Films:
        """Return some of the films."""
        return Films(self.pixels[indices], self.labels[indices])


def load_films(
    paths: Sequence[Path],
    labels: np.ndarray,
    preprocessing: Preprocessing,
    *,
    num_threads: int = 2,
    done: Callable[[], object] = lambda: None,
) -> Films:
    """Read and preprocess films in threads, in order.

    Args:
        paths: N files, all known to be readable.
        labels: (N,) int.
        preprocessing: The one definition, the same as at serving.
        num_threads: Decoding threads; the decoders release the interpreter lock.
        done: Called after every film, for a progress bar.

    Returns:
        The films.

    Raises:
        UndecodableFilm, UnsupportedFilm: A film cannot be read.
    """
    size = preprocessing.size_px
    pixels = np.empty((len(paths), size, size), np.float16)

    def load(position: int) -> None:
        radiograph = read_film(paths[position], min_side_px=size)
        pixels[position] = preprocess(radiograph, preprocessing)[0]
        done()

    with ThreadPoolExecutor(num_threads) as pool:
        for _ in pool.map(load, range(len(paths))):
            pass
    return Films(pixels, np.asarray(labels, dtype=np.int64))


def epoch_batches(
    films: Films, policy: Augmentation, *, batch_size: int, seed: int, epoch: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield one epoch of shuffled, augmented batches; seed and epoch decide all of it.

    Yields:
        Films (n, S, S, 1) float32 in [0, 1] and labels (n,) int. A last batch of one film joins the one before it.
    """
    order = np.random.default_rng((seed, epoch)).permutation(len(films))
    num_batches = max(1, round(len(order) / batch_size))
    for indices in np.array_split(order, num_batches):
        batch = films.batch(indices)
        for film, index in zip(batch, indices, strict=True):
            film[..., 0] = augment(film[..., 0], policy, np.random.default_rng((seed, epoch, int(index))))
        yield batch, films.labels[indices]
