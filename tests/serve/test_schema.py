"""The documented shapes are those that answers have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from hilum.run.classifier import Classifier
from hilum.serve.schema import Prediction


def test_an_answer_has_the_documented_keys(
    tiny_classifier: Classifier, write_film: Callable[..., Path], tmp_path: Path
) -> None:
    shown = tiny_classifier.predict(write_film(tmp_path / "film.png")).to_dict()
    Prediction.model_validate(shown)
    assert set(shown) == set(Prediction.model_fields) - {"display", "disagreement", "part"}  # absent here
    with pytest.raises(ValidationError):
        Prediction.model_validate(shown | {"patient": "x"})
