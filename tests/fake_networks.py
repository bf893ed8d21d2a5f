"""What several tests of training use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:  # they load TensorFlow, and every test reads this file
    from hilum.train.batches import Films
    from hilum.train.config import RunConfig
    from hilum.train.fit import TrainingFilms


class FakeNetworks:
    """Stands in for fitting and answering: the further the dropout is from 0.5, the worse the answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fitted: list[tuple[float, int, int]] = []  # dropout, seed, size in pixels
        self.learned: list[np.ndarray] = []
        self.before: Callable[[], None] = lambda: None
        self._config: RunConfig | None = None
        monkeypatch.setattr("hilum.train.trial.fit_network", self.fit)
        monkeypatch.setattr("hilum.train.trial.compute_logits", self.answer)
        monkeypatch.setattr("hilum.train.trial.fit_temperature", lambda *_: 1.0)

    def fit(self, films: TrainingFilms, config: RunConfig, **rest: Any) -> Any:
        self.before()
        rest["progress"]("backbone", 0, 1, 0.5, None)
        self.fitted.append((config.fit.dropout, config.seed, films.train.pixels.shape[1]))
        self.learned.append(np.concatenate([films.train.pixels, films.validation.pixels]))
        self._config, self._seed = config, config.seed

        class Built:
            model = None

        return Built, []

    def answer(self, _: Any, films: Films) -> np.ndarray:
        assert self._config is not None
        rng = np.random.default_rng((self._seed, len(films)))
        sure = 3.0 - 8.0 * abs(self._config.fit.dropout - 0.5)
        return np.asarray(np.eye(2)[films.labels] * sure + rng.normal(size=(len(films), 2)) * 0.5)


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> FakeNetworks:
    """Networks that take no time; their answers follow from the settings."""
    return FakeNetworks(monkeypatch)
