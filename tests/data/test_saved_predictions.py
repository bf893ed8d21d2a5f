"""The answers of a run are read back whole, or the folder is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.data.saved_predictions import read_predictions
from hilum.errors import InputError

HEADER = "path,part,finding,predicted,accepted,probability_a,probability_b\n"


def test_answers_are_read_back_by_part_and_path(tmp_path: Path) -> None:
    lines = ["x,test,a,b,true,0.2,0.8", "./=y,validation,b,b,true,0.1,0.9", "z,leave_one_source_out,b,b,true,,1"]
    (tmp_path / "predictions.csv").write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    judged = read_predictions(tmp_path)
    assert (judged.name, judged.findings) == (tmp_path.name, ("a", "b"))
    assert {part: list(rows) for part, rows in judged.parts.items()} == {
        "test": ["x"],
        "validation": ["=y"],
        "leave_one_source_out": ["z"],
    }
    assert judged.parts["test"]["x"]["predicted"] == "b"
    assert (judged.groups, judged.clean) == ({}, None)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (None, "Cannot read the predictions"),
        ("a,b\n1,2\n", "is not a predictions.csv"),
        ("path,part,finding,predicted,accepted,probability_a\nx,test,a\n", "cut short"),
        ("path,part,finding,predicted,accepted,probability_a\nx,test,a,a,true,much\n", "could not convert"),
    ],
)
def test_folders_without_answers_are_refused(tmp_path: Path, content: str | None, match: str) -> None:
    if content is not None:
        (tmp_path / "predictions.csv").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=match):
        read_predictions(tmp_path)
    with pytest.raises(InputError, match="it is not a folder"):
        read_predictions(tmp_path / "nowhere")
