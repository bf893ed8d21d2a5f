"""`hilum model export`: the graph, and the answers beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from hilum.errors import InputError, ModelFileError
from hilum.run.modelfile import read_model_file
from hilum.workflows import export


def test_another_program_can_check_its_answers(tiny_model: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    path = tmp_path / "pixels.onnx"
    done = command("model", "export", tiny_model, "--to", path)
    assert done.code == 0, done.err
    assert "on 4 drawn films" in done.out
    assert sorted(one.name for one in tmp_path.iterdir()) == ["pixels.npz", "pixels.onnx"]
    session = onnxruntime.InferenceSession(path)
    with np.load(tmp_path / "pixels.npz", allow_pickle=False) as golden:
        for number, wanted in enumerate(golden["probabilities"]):
            found = session.run(["probabilities", "features"], {"pixels": golden[f"pixels_{number}"]})
            assert found[0] == pytest.approx(wanted, abs=1e-5)
            assert found[1] == pytest.approx(golden["features"][number], abs=1e-4)
        findings = golden["findings"].tolist()
    about = json.loads(session.get_modelmeta().custom_metadata_map[export.EXPORT_KEY])
    read = read_model_file(tiny_model)
    assert findings == about["findings"] == list(read.metadata.findings)
    assert about["operating_thresholds"] == read.metadata.operating_thresholds
    assert about["model"] == {"name": "tiny", "sha256": read.sha256}
    error = command("predict", "--model", path, tmp_path / "pixels.npz")
    assert error.code == 3
    assert "`hilum model export`" in error.err


def test_no_file_of_the_user_is_replaced(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "pixels.onnx"
    (tmp_path / "pixels.npz").write_text("mine")
    with pytest.raises(InputError, match=r"pixels.npz` exists"):
        export.export_model(tiny_model, path)
    with pytest.raises(InputError, match=r"ends with .onnx"):
        export.export_model(tiny_model, tmp_path / "pixels.bin")
    assert not path.exists()


def test_other_answers_are_not_exported(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "LARGEST_DIFFERENCE", -1.0)
    with pytest.raises(ModelFileError, match="Not exported: the graph and the model file differ by"):
        export.export_model(tiny_model, tmp_path / "pixels.onnx")
    assert list(tmp_path.iterdir()) == []
