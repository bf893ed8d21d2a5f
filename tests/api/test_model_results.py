"""What drift and export return: attributes, JSON, a table, a line, and files to keep."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from hilum.api.model_results import DriftResult, ExportResult
from hilum.figures import to_json
from hilum.judge.drift import count_answers, measure_drift

FINDINGS = ("Normal", "Covid-19")


def test_a_drift_result_is_its_comparison(tmp_path: Path) -> None:
    shares = np.tile([0.9, 0.1], (60, 1))
    drift = measure_drift(*(count_answers(some, [1] * 60, [True] * 60, FINDINGS) for some in (shares, shares[:, ::-1])))
    found = DriftResult(tmp_path, drift)
    assert (found.n, found.reference_n, found.is_different) == (60, 60, True)
    assert found.quantities == drift.quantities
    assert json.loads(json.dumps(found.to_dict())) == {"is_different": True, **to_json(drift)}
    frame = found.to_dataframe()
    assert list(frame.columns) == ["quantity", "p", "is_different"]
    assert len(frame) == len(drift.quantities)
    assert repr(found) == f"<DriftResult: {found.summary()}; {tmp_path}>"
    assert "The findings answered: different" in found._repr_html_()


def test_an_export_result_names_and_copies_its_two_files(tmp_path: Path) -> None:
    graph, golden = tmp_path / "pixels.onnx", tmp_path / "pixels.npz"
    for path in (graph, golden, tmp_path / "other"):
        path.write_bytes(b"1")
    (tmp_path / "report.html").write_text("of another command", encoding="utf-8")
    made = ExportResult(tmp_path, graph, golden, 4, 6e-8)
    assert "report.html" not in made._repr_html_() and made.summary() in made._repr_html_()
    assert made.summary() == "pixels.onnx, within 6e-08 in probability on 4 pictures"
    assert made.to_dict() == {"graph": str(graph), "golden": str(golden), "n": 4, "largest_difference": 6e-8}
    assert made.to_dataframe()["n"].tolist() == [4]
    made.save(tmp_path / "copy")
    assert {path.name for path in (tmp_path / "copy").iterdir()} == {"pixels.onnx", "pixels.npz"}
