"""What `hilum predict` wrote is read again, the same from every format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.errors import InputError
from hilum.run.saved_answers import read_answers


def test_all_formats_hold_the_same(
    tiny_model: Path, tiny_data: Path, tmp_path: Path, command: Callable[..., Any]
) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    found = []
    for kind in ("jsonl", "csv", "parquet"):
        path = tmp_path / f"answers.{kind}"
        films = (tiny_data / "test", tmp_path / "broken.png")
        assert command("predict", "--model", tiny_model, *films, "--format", kind, "--out", path).code == 1
        found.append(read_answers(path))
    assert found[0] == found[1] == found[2]
    assert len(found[0]) > 5
    assert {len(one.probabilities) for one in found[0]} == {3}
    assert all(1 <= one.set_size <= 3 for one in found[0])


@pytest.mark.parametrize("text", ["", "file,x\n1,2\n", '{"file": "a"}\n', "something\n"])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "answers.jsonl").write_text(text)
    with pytest.raises(InputError, match=r"of `hilum predict`"):
        read_answers(tmp_path / "answers.jsonl")
    with pytest.raises(InputError, match="Cannot read"):
        read_answers(tmp_path / "none.jsonl")
