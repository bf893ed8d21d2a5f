"""Sealing a corrected model: only if it answers as its parent plus the correction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hilum.errors import ModelFileError
from hilum.run.engine import Engine
from hilum.run.modelfile import Metadata, read_model_file
from hilum.train.corrected_file import LARGEST_DIFFERENCE, seal_corrected
from hilum.train.correction import Correction

FILMS = np.random.default_rng(3).random((3, 1, 32, 32), dtype=np.float32)


def test_it_is_written_where_it_agrees_and_not_where_it_does_not(
    tmp_path: Path, tiny_model: Path, tiny_metadata: Metadata
) -> None:
    parent, correction = read_model_file(tiny_model), Correction("constants", 1.0, np.array([1.0, -1.0, 0.0]))
    expected = Engine(parent).run(FILMS).logits + correction.constants
    path = tmp_path / "model.onnx"
    difference, follows = seal_corrected(path, parent, correction, tiny_metadata, (FILMS, expected))
    assert (difference <= LARGEST_DIFFERENCE, follows) == (True, True)
    assert Engine(read_model_file(path)).run(FILMS).logits == pytest.approx(expected, abs=1e-4)
    path.unlink()
    with pytest.raises(ModelFileError, match=r"differ by 0\.01 in logits on 3 films"):
        seal_corrected(path, parent, correction, tiny_metadata, (FILMS, expected + 0.01))
    assert list(tmp_path.iterdir()) == []
