"""What an ensemble says of films: judged anew, or computed from the answers of its runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hilum.console import Console
from hilum.run.classifier import Classifier
from hilum.train.ensemble.file import seal_ensemble
from hilum.train.ensemble.members import common_films, read_sources
from hilum.train.ensemble.out_of_bag import gather_held_out
from hilum.workflows.ensemble_films import EnsembleFilms


def test_answers_computed_from_the_runs_are_those_of_the_films_judged_anew(
    tmp_path: Path, write_run: Callable[..., Path], tiny_data: Path
) -> None:
    sources = read_sources([write_run(tmp_path / f"run-{seed}", seed=seed) for seed in range(2)])
    films = common_films(sources)
    alone = np.stack([films.probabilities(source, source.held_out_part) for source in sources])
    held = gather_held_out(films, sources, alone, "average")
    root = films.root_in(tiny_data)
    seal_ensemble(tmp_path / "model.onnx", held, held.calibrate(0.9), root=root)
    classifier = Classifier(tmp_path / "model.onnx")
    anew, computed = (EnsembleFilms(films, sources, where, Console()).judge(classifier, held) for where in (root, None))
    assert list(anew.figures) == list(computed.figures) == ["test", "test_clean", "validation", "cross_validation"]
    for part, (positions, probabilities, _) in anew.answered.items():
        np.testing.assert_array_equal(positions, computed.answered[part][0])
        np.testing.assert_allclose(probabilities, computed.answered[part][1], atol=2e-5)
    assert (computed.mistakes, computed.lungs_hidden) == ((), None)
    assert anew.evaluation["n"] == computed.evaluation["n"] == anew.figures["test"].n
    gains = held.gains(alone, seed=0)
    assert [one.name for one in gains.members] == ["run-0", "run-1"]
    assert gains.best_member is not None
    best = max(gains.members, key=lambda one: one.macro_f1.value)
    assert gains.best_member.name == best.name
    assert gains.best_member.macro_f1.value == pytest.approx(
        computed.figures["cross_validation"].macro_f1.value - best.macro_f1.value
    )
