"""`hilum model upgrade`: exact where it can be, on films where it cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.errors import InputError
from hilum.film.decode import DECODER_VERSION
from hilum.run.engine import Engine
from hilum.run.modelfile import FORMAT_VERSION, read_model_file
from hilum.workflows.upgrade import upgrade_model


def test_an_earlier_format_is_written_anew_exactly(write_model: Callable[..., Path], tmp_path: Path) -> None:
    old, new = write_model(tmp_path / "old.onnx", format_version=1), tmp_path / "new.onnx"
    assert "answers are the same" in upgrade_model(old, new).notes[0]
    was, now = read_model_file(old), read_model_file(new)
    assert (was.metadata.format_version, now.metadata.format_version) == (1, FORMAT_VERSION)
    films = np.random.default_rng(0).random((2, 1, 32, 32), dtype=np.float32)
    assert Engine(now).run(films).logits.tolist() == Engine(was).run(films).logits.tolist()
    with pytest.raises(InputError, match="nothing to do"):
        upgrade_model(new, tmp_path / "newer.onnx")
    with pytest.raises(InputError, match="was not made by"):
        upgrade_model(old, new)


def test_what_no_longer_holds_needs_films(
    write_model: Callable[..., Path], tiny_data: Path, tmp_path: Path, command: Callable[..., Any]
) -> None:
    old, new = (
        write_model(tmp_path / "old.onnx", format_version=1, gate={"old": 1}, decoder_version=1),
        tmp_path / "n.onnx",
    )
    with pytest.raises(InputError, match="cannot be brought to today's form exactly") as caught:
        upgrade_model(old, new)
    assert "film decoder 1" in caught.value.message
    assert "detector of unfamiliar films" in caught.value.message
    assert not new.exists()
    done = command("model", "upgrade", old, "--out", new, "--data", tiny_data)
    assert done.code == 0, done.err
    metadata = read_model_file(new).metadata
    assert (metadata.format_version, metadata.decoder_version, metadata.gate) == (FORMAT_VERSION, DECODER_VERSION, {})
    assert {limit["n"] for limit in metadata.conformal.values()} == {12}
    assert metadata.figures["validation"]["n"] == 36
    assert "are set on 36 films" in done.out
    shown = command("model", "show", new)
    assert (shown.code, "Validation: " in shown.out) == (0, True)
