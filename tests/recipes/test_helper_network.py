"""Small networks from Keras to a file: what it says of itself comes back, and a file that answers otherwise is none."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from helper_network import seal_helper
from hilum.errors import ModelFileError
from hilum.run.helper_network import HelperNetwork

SIDE_PX = 16


class Reader(HelperNetwork):
    """A network of a test."""

    key, side_px = "hilum-reader", SIDE_PX

    def check(self) -> None:
        """Take any facts."""


@pytest.fixture
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    view = keras.Input((1, SIDE_PX, SIDE_PX))
    model = keras.Model(view, keras.layers.Dense(3)(keras.layers.Flatten()(view)))
    model(np.zeros((1, 1, SIDE_PX, SIDE_PX), np.float32))  # Keras exports no model that was never called
    return model


def test_the_file_answers_as_keras_and_says_what_it_was_told(model: keras.Model, tmp_path: Path) -> None:
    view = np.random.default_rng(0).random((1, SIDE_PX, SIDE_PX), dtype=np.float32)

    def difference(data: bytes) -> float:
        told = Reader(data, "f32").ask(view)
        return float(np.abs(told - np.asarray(model(view[np.newaxis]))[0]).max())

    path = tmp_path / "reader.onnx"
    num_bytes = seal_helper(model, path, {"films": 3}, key="hilum-reader", difference=difference, most=1e-5)
    assert num_bytes == path.stat().st_size
    assert Reader(path.read_bytes(), "f32").facts == {"films": 3}


@pytest.mark.parametrize("found", [0.2, float("nan")])
def test_nothing_is_written_where_the_two_disagree(model: keras.Model, tmp_path: Path, found: float) -> None:
    with pytest.raises(ModelFileError, match="Not sealed"):
        seal_helper(model, tmp_path / "reader.onnx", {}, key="hilum-reader", difference=lambda _: found, most=0.1)
    assert not list(tmp_path.iterdir())
