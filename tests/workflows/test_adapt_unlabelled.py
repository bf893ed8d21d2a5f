"""`hilum adapt --unlabelled`: a model only where the mix of findings explains the films."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.data.folder import FilmRecord
from hilum.errors import InputError
from hilum.judge.calibration import score_counts
from hilum.judge.predictions import judge_records
from hilum.run.answer import softmax
from hilum.run.classifier import Classifier
from hilum.run.modelfile import read_model_file
from hilum.workflows.adapt_unlabelled import adapt_unlabelled


def told(model: Path, films: Path, weights: np.ndarray) -> list[Any]:
    """Return the distribution of calibration films that look as these do, in an even mix."""
    records = [FilmRecord(str(path), "", None) for path in sorted(films.iterdir())]
    found = judge_records(Classifier(model), Path(), records, known_only=False)
    values = np.repeat(found.probabilities, 60, axis=0)
    rng = np.random.default_rng(0)
    truth = np.array([rng.choice(3, p=row * weights / (row @ weights)) for row in values])
    return score_counts(values, truth).tolist()  # type: ignore[no-any-return]


def test_without_what_it_takes_to_check_no_model_is_written(
    command: Callable[..., Any], tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    done = command("adapt", "--model", tiny_model, tiny_data / "train", "--out", tmp_path / "run", "--unlabelled")
    assert done.code == 0, done.err
    assert "No model was written" in done.out
    assert not (tmp_path / "run").exists()
    done = command("adapt", "--model", tiny_model, tiny_data, "--out", tmp_path / "run", "--unlabelled", "--map", "a=b")
    assert (done.code, "--unlabelled films have none" in done.err) == (2, True)


def test_another_mix_gives_another_model(
    write_model: Callable[..., Path], write_film: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(24):
        write_film(tmp_path / "films" / f"{seed}.png", seed=seed)
    plain = write_model(tmp_path / "plain.onnx")
    scores = told(plain, tmp_path / "films", np.ones(3))
    calibration = {"n": 1, "method": "validation", "scores": scores}
    counts = {"Normal": 20, "Covid-19": 500, "Viral Pneumonia": 20}  # the mix where the model was calibrated
    conformal = {name: {"threshold": 0.9, "n": n} for name, n in counts.items()}
    model = write_model(tmp_path / "model.onnx", calibration=calibration, conformal=conformal)
    monkeypatch.setattr("hilum.train.label_shift._MOST_P", 0.5)  # phantoms are all alike: little speaks for a mix
    monkeypatch.setattr("hilum.train.label_shift._fit", lambda *_: 0.9)
    made = adapt_unlabelled(model, tmp_path / "films", tmp_path / "run")
    assert made.is_written, made.adaptation.reason
    before, after = Classifier(model), Classifier(tmp_path / "run")
    film = tmp_path / "films" / "0.png"
    shipped, adapted = before.predict(film), after.predict(film)
    shares = made.adaptation.shares
    ratios = np.array([(one.after.value or 0) / one.before for one in shares.values()])
    expected = softmax(shipped.logits / 1.5 + np.log(ratios))
    assert list(adapted.probabilities.values()) == pytest.approx(expected.tolist(), abs=1e-4)
    metadata = read_model_file(tmp_path / "run").metadata
    assert metadata.adaptation["n"] == 24
    assert "without findings" in metadata.model_card
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["adaptation"]["parent"]["name"] == "tiny"
    assert "Nobody has checked its answers" in (tmp_path / "run" / "report.html").read_text()
    with pytest.raises(InputError, match="holds an adapted model"):
        adapt_unlabelled(model, tmp_path / "films", tmp_path / "run")
