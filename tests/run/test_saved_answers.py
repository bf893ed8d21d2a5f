"""Outputs of `hilum predict`: known by their content, never judged twice, and read again the same from every format."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.errors import InputError, UndecodableFilm
from hilum.run.answer import Answer, UnreadFilm
from hilum.run.saved_answers import is_own_output, num_unread_in, output_format, read_answers
from hilum.run.writing import FORMATS, open_writer

FINDINGS = ("=Normal", "Covid-19")
FILMS = [Path(name) for name in ("-a.png", os.fsdecode(b"b \xff\n.png"), "c\x1b.png")]


def answers(heatmaps: Path | None = None) -> list[Answer | UnreadFilm]:
    answer = Answer(
        file=str(FILMS[0]),
        probabilities={"=Normal": 0.25, "Covid-19": 0.75},
        set=FINDINGS,
        above_threshold=("Covid-19",),
        reasons=(),
        model={"name": "tiny", "sha256": "ab"},
        logits=np.zeros(2, np.float32),
        activation=np.zeros((2, 4, 4), np.float32),
    )
    unread = UnreadFilm(str(FILMS[1]), UndecodableFilm("It is empty.", fix="Send it again."))
    made = [dataclasses.replace(answer, file=str(FILMS[at])) for at in (0, 2)]
    if heatmaps is not None:
        made = [dataclasses.replace(one, heatmap=str(heatmaps / "x.png")) for one in made]
    return [made[0], unread, made[1]]


def written(folder: Path, format_: str, *, first: int = 0, heatmaps: Path | None = None) -> Path:
    if format_ == "parquet":
        pytest.importorskip("pyarrow")
    out = folder / f"answers.{format_}"
    with out.open("w", encoding="utf-8", newline="") as stream:
        writer = open_writer(format_, stream, out, FINDINGS)
        for answer in answers(heatmaps)[first:]:
            writer.write(answer.to_dict())
        writer.close()
    return out


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("first", [0, 1, 3])
def test_an_output_is_known_by_its_content(tmp_path: Path, format_: str, first: int) -> None:
    out = written(tmp_path, format_, first=first)
    if first == 3 and format_ == "jsonl":
        assert out.read_bytes() == b""  # no line, nothing to know it by
        return
    assert is_own_output(out)
    assert output_format(out) == format_


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"earlier",
        b"file,finding\n",
        b"path,finding\na,b\n",
        b'{"file": "a"}',
        b"PAR1 PAR1",
        b"\x89PNG\r\n",
        b"\xff",
    ],
)
def test_anybody_elses_file_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert not is_own_output(tmp_path / "a")


@pytest.mark.parametrize("format_", FORMATS)
def test_nothing_is_left_to_do_where_it_is_of_these_films(tmp_path: Path, format_: str) -> None:
    words = {"format_": format_, "model_sha256": "ab", "heatmaps": Path("maps")}
    out = written(tmp_path, format_, heatmaps=Path("maps"))
    if format_ == "table":
        assert num_unread_in(out, FILMS, **words) is None  # type: ignore[arg-type]
        return
    assert num_unread_in(out, FILMS, **words) == 1  # type: ignore[arg-type]
    others = [
        (FILMS[:2], {}, "another list of films"),
        ([*FILMS, Path("d")], {}, "another list of films"),
        (FILMS[::-1], {}, "another list of films"),
        (FILMS, {"model_sha256": "cd"}, "another model file"),
        (FILMS, {"heatmaps": None}, "another folder for heat maps"),
        (FILMS, {"heatmaps": Path("other")}, "another folder for heat maps"),
        (FILMS, {"format_": "csv" if format_ != "csv" else "jsonl"}, f"in the format {format_}"),
    ]
    for films, other, message in others:
        with pytest.raises(InputError, match=message):
            num_unread_in(out, films, **words | other)  # type: ignore[arg-type]


@pytest.mark.parametrize("format_", ["jsonl", "csv", "parquet"])
def test_a_damaged_output_is_said_to_be_so(tmp_path: Path, format_: str) -> None:
    out = written(tmp_path, format_)
    out.write_bytes(out.read_bytes()[:60] if format_ == "jsonl" else out.read_bytes()[:40] + b'"x" y\n')
    with pytest.raises(InputError, match=r"it is damaged|another list of films"):
        num_unread_in(out, FILMS, format_=format_, model_sha256="ab", heatmaps=None)


@pytest.mark.parametrize("line", ["a.png", "a.png" + "," * 40])
def test_a_line_of_another_number_of_cells_is_damage(tmp_path: Path, line: str) -> None:
    out = written(tmp_path, "csv")
    columns, *_ = out.read_text(encoding="utf-8").splitlines()
    out.write_text(f"{columns}\n{line}\n", encoding="utf-8")
    with pytest.raises(InputError, match="it is damaged"):
        num_unread_in(out, FILMS, format_="csv", model_sha256="ab", heatmaps=None)


@pytest.mark.parametrize(
    "line",
    [
        "null",
        "5",
        '{"file": 3}',
        '{"file": "-a.png", "model": null}',
        '{"file": "-a.png", "model": {"sha256": "ab"}, "set": [], "probabilities": null}',
    ],
)
def test_a_line_that_is_no_answer_is_damage(tmp_path: Path, line: str) -> None:
    out = tmp_path / "answers.jsonl"
    out.write_text(f'{{"file": "-a.png", "error": {{}}}}\n{line}\n', encoding="utf-8")
    with pytest.raises(InputError, match="it is damaged"):
        num_unread_in(out, [FILMS[0]] * 2, format_="jsonl", model_sha256="ab", heatmaps=None)
    with pytest.raises(InputError, match="not a whole output"):
        read_answers(out)


def test_a_table_cannot_be_read_again(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="that can be read again"):
        read_answers(written(tmp_path, "table"))


def test_a_finding_may_have_a_semicolon_in_its_name(tmp_path: Path) -> None:
    out = written(tmp_path, "jsonl")
    out.write_text(out.read_text(encoding="utf-8").replace("Covid-19", "Covid; 19"), encoding="utf-8")
    assert [one.set_size for one in read_answers(out)] == [2, 2]


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


def test_a_csv_whose_quotes_are_damaged_is_refused(tmp_path: Path) -> None:
    out = written(tmp_path, "csv")
    with out.open("a", encoding="utf-8") as lines:
        lines.write('"x" y\n')
    with pytest.raises(InputError, match="not a whole output"):
        read_answers(out)
