"""What `hilum review` opens: the doubts of an audit or a run, over the films of its data set."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.errors import InputError
from hilum.workflows.review import open_review

FAULTS: list[dict[str, Any]] = [
    {
        "kind": "leak",
        "severity": "error",
        "message": "A test film has a twin in the training part.",
        "paths": ["Normal/0.png", "Normal/1.png"],
        "figure": None,
    },
    {
        "kind": "suspect-label",
        "severity": "warning",
        "message": "1 label may be wrong.",
        "paths": ["Covid/0.png"],
        "figure": 1,
        "suggestions": {"Covid/0.png": {"finding": "Normal", "probability": 0.8}},
    },
]


@pytest.fixture
def audit(tmp_path: Path) -> Callable[..., Path]:
    """Write a data set and an audit of it; return the audit's folder."""

    def write(faults: object = FAULTS) -> Path:
        for path in ("Normal/0.png", "Normal/1.png", "Covid/0.png", "Covid/1.png"):
            (tmp_path / "films" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "films" / path).write_bytes(b"not opened")
        (tmp_path / "audit").mkdir(exist_ok=True)
        text = json.dumps({"faults": faults, "figures": {}})
        (tmp_path / "audit/audit.json").write_text(text, encoding="utf-8")
        return tmp_path / "audit"

    return write


def test_the_doubts_of_an_audit_are_opened_and_the_data_is_remembered(audit: Callable[..., Path]) -> None:
    folder = audit()
    with pytest.raises(InputError, match="--data DATA"):
        open_review(folder, data=None, who="Anna")
    first = open_review(folder, data=folder.parent / "films", who="Anna")
    assert [doubt.kind for doubt in first.doubts] == ["leak", "suspect-label"]
    assert (first.name, first.findings, first.parts, first.classifier) == ("films", ("Normal", "Covid-19"), {}, None)
    first.decide(1, "relabel", "Normal", [0])
    assert open_review(folder, data=None, who="Ben").settled() == ["", "relabel"]


def test_a_run_draws_the_heat_maps_and_says_the_part(audit: Callable[..., Path], tiny_model: Path) -> None:
    folder = audit()
    (folder / "model.onnx").write_bytes(tiny_model.read_bytes())
    (folder / "splits.csv").write_text("path,finding,split,group\nNormal/0.png,Normal,test,0\n", encoding="utf-8")
    run = open_review(folder, data=folder.parent / "films", who="Anna")
    assert run.classifier is not None
    assert run.parts == {"Normal/0.png": "test"}


@pytest.mark.parametrize("faults", [3, [{}], [{**FAULTS[0], "severity": "grave"}], [{**FAULTS[0], "paths": None}]])
def test_an_audit_of_another_form_is_refused(audit: Callable[..., Path], faults: object) -> None:
    folder = audit(faults)
    with pytest.raises(InputError, match="is not as `hilum audit` writes it"):
        open_review(folder, data=folder.parent / "films", who="Anna")


def test_folders_without_an_audit_and_other_films_are_refused(audit: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no audit\.json"):
        open_review(tmp_path, data=tmp_path, who="Anna")
    elsewhere = [{**FAULTS[0], "paths": ["a.png", "b.png"]}]
    folder = audit(elsewhere)
    with pytest.raises(InputError, match="None of the 2 films"):
        open_review(folder, data=folder.parent / "films", who="Anna")
