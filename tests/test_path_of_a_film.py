"""The path of one film, from the folder it was learnt from to the answers of every door: all say the same."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hilum
from hilum.figures import to_json
from hilum.film.decode import read_film
from hilum.film.preprocess import preprocess
from hilum.run.answer import softmax
from hilum.run.classifier import Classifier

pytestmark = pytest.mark.slow

_SCRIPT = """
import json, sys
import hilum

classifier = hilum.load(sys.argv[1])
for path in sys.argv[2:]:
    print(json.dumps(classifier.predict(path).to_dict()))
print(json.dumps(sorted({"keras", "tensorflow", "onnx", "sklearn"} & set(sys.modules))))
"""


@pytest.fixture(scope="module")
def films(tiny_data: Path) -> list[Path]:
    """Return the test films of the small data set, PNG and JPEG."""
    paths = sorted((tiny_data / "test").rglob("*.*"))
    assert {path.suffix for path in paths} == {".png", ".jpg"}
    return paths


@pytest.fixture(scope="module")
def told(trained_run: Any, films: list[Path]) -> dict[str, dict[str, Any]]:
    """Return what a fresh Python process says of every film; it never met Keras."""
    model = trained_run.folder / "model.onnx"
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, model, *films], capture_output=True, encoding="utf-8", check=True
    )
    *lines, imported = [json.loads(line) for line in done.stdout.splitlines()]
    assert imported == []
    return {line["file"]: line for line in lines}


def test_keras_in_training_and_the_engine_in_a_fresh_process_agree(
    trained_run: Any, films: list[Path], told: dict[str, dict[str, Any]]
) -> None:
    """The trained weights in Keras, by way of the pixels of training, give the probabilities that are served."""
    import keras

    model = keras.saving.load_model(trained_run.folder / "model.keras")
    metadata = Classifier(trained_run.folder / "model.onnx").metadata
    seen = metadata.preprocessing
    pixels = np.stack([preprocess(read_film(path, min_side_px=seen.decoded_px), seen) for path in films])
    logits = np.asarray(model.predict_on_batch(pixels.transpose(0, 2, 3, 1)))
    probabilities = softmax(logits, metadata.temperature)
    for path, expected in zip(films, probabilities, strict=True):
        served = [told[str(path)]["probabilities"][name] for name in metadata.findings]
        np.testing.assert_allclose(served, expected, atol=1e-4)
    assert np.ptp(probabilities) > 1e-3  # it tells films apart


def test_the_command_line_says_what_python_says(
    trained_run: Any,
    films: list[Path],
    told: dict[str, dict[str, Any]],
    fresh_process: Callable[..., Any],
    tmp_path: Path,
) -> None:
    model = trained_run.folder / "model.onnx"
    out = tmp_path / "answers.csv"
    lines = fresh_process("predict", "--model", model, *films, "--format", "jsonl")
    assert lines.code == 0, lines.err
    assert fresh_process("predict", "--model", model, *films, "--format", "csv", "--out", out).code == 0
    answers = [json.loads(line) for line in lines.out.splitlines()]
    assert [answer["file"] for answer in answers] == [str(path) for path in films]
    with out.open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    here = hilum.load(model)
    for path, answer, row in zip(films, answers, rows, strict=True):
        expected = told[str(path)]
        local = here.predict(path).to_dict()
        for name, probability in expected["probabilities"].items():
            for other in (answer["probabilities"][name], row[f"probability_{name}"], local["probabilities"][name]):
                assert float(other) == pytest.approx(probability, abs=1e-6)
        same = ["file", "finding", "set", "above_threshold", "accepted", "reasons", "model"]
        assert {key: answer[key] for key in same} == {key: expected[key] for key in same}
        assert (row["file"], row["finding"], row["model_sha256"]) == (
            expected["file"],
            expected["finding"],
            expected["model"]["sha256"],
        )


def test_judging_anew_gives_the_figures_of_the_run(
    trained_run: Any, tiny_data: Path, fresh_process: Callable[..., Any], tmp_path: Path
) -> None:
    model, out = trained_run.folder / "model.onnx", tmp_path / "out"
    result = fresh_process("evaluate", "--model", model, tiny_data, "--out", out)
    assert result.code == 0, result.err
    assert "Test films without a twin or patient in train: " in result.out
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    for part in ("test", "test_clean"):
        mine, run = metrics[part], getattr(trained_run.metrics, part)
        assert mine["confusion"] == to_json(run.confusion)
        assert mine["n"] == run.n
        for name in ("accuracy", "balanced_accuracy", "macro_f1", "auroc_macro"):
            assert mine[name]["value"] == pytest.approx(getattr(run, name).value, abs=1e-9)
        assert mine["ece"] == pytest.approx(run.ece, abs=1e-6)


def test_a_dicom_film_gets_the_answer_of_its_pixels(trained_run: Any, hilum_data: Path) -> None:
    """A real DICOM film: read by path, as bytes and decoded first."""
    classifier = hilum.load(trained_run.folder / "model.onnx")
    path = hilum_data / "dicom" / "966_fixed.dcm"
    answer = classifier.predict(path)
    assert answer.probabilities == classifier.predict(path.read_bytes()).probabilities
    assert answer.probabilities == classifier.predict(read_film(path)).probabilities
    assert sum(answer.probabilities.values()) == pytest.approx(1)
