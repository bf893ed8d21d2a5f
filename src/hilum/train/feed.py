"""The batches that Keras trains on: films in random order, changed at random, with what is known of each.

Source of the plain films at the end: He, Xie, Chen, Zhang, Yang, Chen, Tian 2019, Data augmentation revisited:
rethinking the distribution gap between clean and augmented data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import keras
import numpy as np

from hilum.errors import ConfigError
from hilum.train.augment import no_changes
from hilum.train.batches import Films, changed_batch, epoch_order, source_chances
from hilum.train.config import RunConfig
from hilum.train.head import finding_weights
from hilum.train.policies import mixed_batch

__all__ = ["Change", "FilmBatches", "FilmWeights"]

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]
_PLAIN_SHARE = 0.2  # of all steps
_WORKERS = 2
_WAITING = 6  # batches that are made in advance


@dataclass(frozen=True, eq=False)
class FilmWeights:
    """How much each film to learn from counts.

    Attributes:
        targets: (N, K) bool, the findings one of which a film shows.
        by_finding: (K,) how much a film of each finding weighs.
        chances: (N,) how likely each film is drawn, where sources are drawn alike; then all weigh the same. None
            where each film comes once an epoch.
    """

    targets: np.ndarray
    by_finding: np.ndarray
    chances: np.ndarray | None

    @classmethod
    def of(cls, films: Films, config: RunConfig, num_findings: int) -> FilmWeights:
        """Return the weights of films for a network of K findings, as the settings want them."""
        by_source = config.fit.sampling == "sources"
        return cls(
            films.targets(num_findings),
            finding_weights(films.labels, num_findings, config.fit.class_weights),
            source_chances(films, num_findings) if by_source else None,
        )

    def of_targets(self, targets: np.ndarray) -> np.ndarray:
        """Return how much each film of a batch weighs (n,), by what is known of it (n, K)."""
        if self.chances is not None:
            return np.ones(len(targets), np.float32)
        return (targets / targets.sum(axis=1, keepdims=True)) @ self.by_finding

    def in_head(self) -> np.ndarray:
        """Return how much each film weighs (N,) where all are fitted at once; their mean is 1."""
        weights = self.of_targets(self.targets) if self.chances is None else self.chances
        return weights / weights.mean()


class FilmBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """The films of one training, batch by batch. Seed, epoch and number decide a batch, so a resume repeats it.

    In the last fifth of all steps films are only mirrored, so that the network ends on films as it will be asked about.
    Otherwise its logits are off by a constant, as changed films differ from films as they are (docs/log.md).

    Args:
        films: N films.
        weights: How much each counts.
        config: Batch size, sampling and augmentation.
        seed: Together with the epoch it decides the order and every change.
        num_epochs: For how many epochs the films are asked for; 0 is taken as 1.
        change: Changes films (n, S, S, 1) float32 in [0, 1], in place of the settings' augmentation.
    """

    def __init__(
        self,
        films: Films,
        weights: FilmWeights,
        config: RunConfig,
        *,
        seed: int,
        num_epochs: int,
        change: Change | None = None,
    ) -> None:
        super().__init__(workers=_WORKERS, use_multiprocessing=False, max_queue_size=_WAITING)
        self.films, self.weights, self.seed, self.change = films, weights, seed, change
        self.batch_size = config.fit.batch_size
        self.policy = config.augmentation if change is None else no_changes()
        self._plain = replace(no_changes(), flip_probability=self.policy.flip_probability)
        self.start_at(0)
        self._first_plain = round((1 - _PLAIN_SHARE) * len(self) * max(num_epochs, 1))  # step

    @classmethod
    def of(
        cls, films: Films, config: RunConfig, num_findings: int, *, seed: int, change: Change | None = None
    ) -> FilmBatches:
        """Return the batches that a network of K findings is trained on."""
        weights, num_epochs = FilmWeights.of(films, config, num_findings), config.fit.num_epochs(len(films))
        return cls(films, weights, config, seed=seed, num_epochs=num_epochs, change=change)

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return len(self._order)

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return films (n, S, S, 1), what is known of them (n, K), and how much each weighs (n,), all float32."""
        indices, drawn = self._order[number], (self.seed, self.epoch, number)
        is_plain = self.epoch * len(self) + number >= self._first_plain
        policy = self._plain if is_plain else self.policy
        films, hidden = changed_batch(self.films, indices, policy, drawn=drawn)
        if self.change is not None and not is_plain:
            films = _changed_by(self.change, films, drawn)
        targets = self.weights.targets[indices].astype(np.float32)
        targets[hidden] = 1 / targets.shape[1]
        films, targets = mixed_batch(films, targets, policy, drawn=drawn)
        return films, targets, self.weights.of_targets(targets)

    def on_epoch_end(self) -> None:
        """Draw the order of the next epoch."""
        self.start_at(self.epoch + 1)

    def start_at(self, epoch: int) -> None:
        """Go to an epoch, by its number from 0."""
        self.epoch, self._order = epoch, self._drawn_order(epoch)

    def _drawn_order(self, epoch: int) -> list[np.ndarray]:
        rng = np.random.default_rng((self.seed, epoch))
        return epoch_order(len(self.films), self.batch_size, rng, self.weights.chances)


def _changed_by(change: Change, films: np.ndarray, drawn: tuple[int, ...]) -> np.ndarray:
    """Return films (n, S, S, 1) as a user's function changes them; it must keep shape and range."""
    changed = np.asarray(change(films, np.random.default_rng(drawn)), np.float32)
    if changed.shape != films.shape or not (changed.min() >= 0 and changed.max() <= 1):
        raise ConfigError(
            f"The augmentation function must return films {films.shape} with values from 0 to 1; it returned shape "
            f"{changed.shape} with values from {changed.min():g} to {changed.max():g}."
        )
    return changed
