"""The formats: each is read back by a reader of its own, film by film, and nothing is lost."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.errors import InputError, MissingExtra, RefusedFilm, UndecodableFilm
from hilum.extras import install_line
from hilum.run.answer import Answer, Reason, UnreadFilm, outcome
from hilum.run.writing import FORMATS, open_writer

FINDINGS = ("Normal", "Covid-19")
KEYS = [
    *("file", "finding", "probabilities", "set", "above_threshold", "accepted", "reasons"),
    *("outlier_score", "exposure", "heatmap", "model"),
]
COLUMNS = [
    *("file", "finding", "accepted", "set", "above_threshold", "reasons"),
    *("probability_Normal", "probability_Covid-19", "outlier_score", "exposure", "heatmap"),
    *("model_name", "model_sha256", "error", "answer"),
]
NO_UTF8 = b"films/\xff\xfe.png".decode("utf-8", "surrogateescape")


def answer(file: str, **changes: Any) -> Answer:
    defaults: dict[str, Any] = {
        "file": file,
        "probabilities": {"Normal": 0.25, "Covid-19": 0.75},
        "set": ("Normal", "Covid-19"),
        "above_threshold": ("Covid-19",),
        "reasons": (),
        "model": {"name": "tiny", "sha256": "ab"},
        "logits": np.zeros(2, np.float32),
        "activation": np.zeros((2, 4, 4), np.float32),
    }
    return Answer(**{**defaults, **changes})


FILMS: list[Answer | UnreadFilm] = [
    answer('a, "quoted" é\n.png', heatmap="maps/a.png"),
    answer("refused.png", reasons=(Reason("too-small", "Too small."), Reason("constant", "Grey.")), set=()),
    UnreadFilm("broken.png", UndecodableFilm("It is empty.", fix="Send it again.")),
    answer(NO_UTF8, heatmap=f"maps/{NO_UTF8}"),
]


def text_of(output_format: str, films: list[Answer | UnreadFilm] = FILMS) -> str:
    stream = io.StringIO()
    writer = open_writer(output_format, stream, None, FINDINGS)
    for film in films:
        writer.write(film.to_dict())
    writer.close()
    stream.getvalue().encode("utf-8")  # whatever a file was called, the output is text
    return stream.getvalue()


def test_json_lines_hold_the_promised_keys_and_nothing_else() -> None:
    lines = [json.loads(line) for line in text_of("jsonl").splitlines()]
    assert [list(line) for line in lines] == [KEYS, KEYS, ["file", "error"], KEYS]
    first, refused, broken, odd = lines
    assert first["file"] == 'a, "quoted" é\n.png'
    assert first["probabilities"] == {"Normal": 0.25, "Covid-19": 0.75}
    assert (first["finding"], first["accepted"], first["heatmap"]) == ("Covid-19", True, "maps/a.png")
    assert (first["set"], first["above_threshold"]) == (["Normal", "Covid-19"], ["Covid-19"])
    assert (refused["finding"], refused["accepted"]) == (None, False)
    assert refused["probabilities"] == first["probabilities"]
    assert refused["reasons"][1] == {"code": "constant", "message": "Grey."}
    assert broken["error"] == {"type": "UndecodableFilm", "message": "It is empty.", "fix": "Send it again."}
    assert list(first["model"]) == ["name", "sha256"]
    assert odd["file"] == NO_UTF8  # JSON can carry the bytes of any name


def test_json_lines_are_written_film_by_film() -> None:
    stream = io.StringIO()
    writer = open_writer("jsonl", stream, None, FINDINGS)
    for number, film in enumerate(FILMS, start=1):
        writer.write(film.to_dict())
        assert stream.getvalue().count("\n") == number


def test_csv_is_read_back() -> None:
    rows = list(csv.DictReader(io.StringIO(text_of("csv"), newline="")))
    assert list(rows[0]) == COLUMNS
    assert [row["file"] for row in rows] == [
        'a, "quoted" é\n.png',
        "refused.png",
        "broken.png",
        "films/\\udcff\\udcfe.png",
    ]
    assert float(rows[0]["probability_Covid-19"]) == 0.75
    assert (rows[0]["accepted"], rows[1]["accepted"], rows[2]["accepted"]) == ("true", "false", "")
    assert rows[1]["finding"] == ""
    assert rows[1]["reasons"] == "too-small: Too small.; constant: Grey."
    assert rows[2]["error"] == "UndecodableFilm: It is empty. Send it again."
    assert rows[0]["set"] == "Normal; Covid-19"
    assert [row["answer"] for row in rows[:3]] == ["Covid-19 or Normal (undecided)", "refused", "cannot be read"]


def test_parquet_is_read_back(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "answers.parquet"
    writer = open_writer("parquet", io.StringIO(), path, FINDINGS)
    for film in FILMS * 1500:  # more than one row group
        writer.write(film.to_dict())
    writer.close()
    table = parquet.read_table(path)
    assert table.column_names == COLUMNS
    assert table.num_rows == 6000
    rows = table.slice(5996).to_pylist()
    assert rows[0]["probability_Covid-19"] == 0.75
    assert [row["accepted"] for row in rows] == [True, False, None, True]
    assert rows[2]["probability_Normal"] is None
    assert rows[2]["error"] == "UndecodableFilm: It is empty. Send it again."


def test_parquet_of_no_film_has_its_columns(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "answers.parquet"
    open_writer("parquet", io.StringIO(), path, FINDINGS).close()
    assert parquet.read_table(path).column_names == COLUMNS


def test_parquet_needs_a_file_and_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="--out FILE"):
        open_writer("parquet", io.StringIO(), None, FINDINGS)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=re.escape(install_line("parquet"))) as caught:
        open_writer("parquet", io.StringIO(), tmp_path / "x.parquet", FINDINGS)
    assert caught.value.exit_code == 4


def test_the_table_says_it_in_words() -> None:
    text = text_of("table", [*FILMS[1:], answer("one finding.png", set=())])
    header = next(line for line in text.splitlines() if line.strip())
    assert header.split() == ["file", "finding", "Normal", "Covid-19", "may", "be", "remarks"]
    lines = {line.split(".png")[0].strip(): line.strip() for line in text.splitlines() if ".png" in line}
    assert "refused" in lines["refused"].removeprefix("refused.png")
    assert "75.0 %" in lines["refused"]
    assert "Too small. Grey." in lines["refused"]
    assert "cannot be read" in lines["broken"]
    assert "It is empty." in lines["broken"]
    assert lines["one finding"].split("75.0 %")[1].strip() == "Covid-19"  # a set always holds the likeliest
    assert not any(line.endswith(" ") for line in text.splitlines())


def test_a_long_table_comes_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hilum.run.answer_table._MOST_ROWS", 2)
    films: list[Answer | UnreadFilm] = [answer(f"{number}.png") for number in range(5)]
    text = text_of("table", films)
    assert text.count("may be  ") == 3
    assert [line.split(".png")[0].strip() for line in text.splitlines() if ".png" in line] == list("01234")
    assert text_of("table", films[:4]).count("may be  ") == 2  # no empty part at the end


def test_a_name_cannot_colour_the_table() -> None:
    text = text_of("table", [answer("[red]x[/red].png")])
    assert "[red]x[/red].png" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("output_format", [name for name in FORMATS if name != "parquet"])
def test_no_film_is_still_a_sound_file(output_format: str) -> None:
    text = text_of(output_format, [])
    assert text == "" if output_format == "jsonl" else "file" in text


@pytest.mark.parametrize("output_format", ["csv", "table"])
def test_an_ensemble_has_one_column_more(output_format: str) -> None:
    stream = io.StringIO()
    writer = open_writer(output_format, stream, None, FINDINGS, has_members=True)
    for film in (answer("a.png", disagreement=0.125), FILMS[2]):
        writer.write(film.to_dict())
    writer.close()
    if output_format == "table":
        assert "12.5 %" in stream.getvalue()
        assert "apart" in stream.getvalue()
    else:
        first, second = csv.DictReader(io.StringIO(stream.getvalue()))
        assert (first["disagreement"], second["disagreement"]) == ("0.125", "")
    assert "apart" not in text_of("table")
    assert "disagreement" not in text_of("csv") + text_of("jsonl")


def test_a_film_that_its_file_refuses_is_not_unread() -> None:
    films: list[Answer | UnreadFilm] = [UnreadFilm("hip.dcm", RefusedFilm("A hip.")), *FILMS[1:3]]
    assert [outcome(film.to_dict()) for film in (answer("a.png"), *films)] == [
        "answered",
        "refused",
        "refused",
        "unread",
    ]
    told = json.loads(text_of("jsonl", films).splitlines()[0])["error"]
    assert told == {"type": "UnsupportedFilm", "message": "A hip.", "fix": "", "refused": True}
    rows = list(csv.DictReader(io.StringIO(text_of("csv", films), newline="")))
    assert [row["accepted"] for row in rows] == ["false", "false", ""]
    lines = [line.split() for line in text_of("table", films).splitlines() if ".dcm" in line or ".png" in line]
    assert [line[1] for line in lines] == ["refused", "refused", "cannot"]
