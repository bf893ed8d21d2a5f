"""What several tests of training use: a settings file with a text, and local films."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hilum.train.correction import LocalFilms


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def local_films(
    num: int,
    *,
    seed: int = 0,
    findings: tuple[int, ...] = (0, 1, 2),
    shift: tuple[float, ...] = (0.0, 0.0, 0.0),
    told_by_feature: float = 0.0,
) -> LocalFilms:
    """Return films of three findings whose logits are shifted; the first feature may say what the logits do not."""
    rng = np.random.default_rng(seed)
    truth = np.array(findings)[np.arange(num) % len(findings)]
    logits = 1.5 * (rng.normal(size=(num, 3)) + 1.5 * np.eye(3)[truth]) + np.array(shift)  # right at temperature 1
    features = rng.normal(size=(num, 20))
    features[:, 0] += told_by_feature * (truth == findings[0])
    return LocalFilms(logits, features, truth, np.arange(num))
