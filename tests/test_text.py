"""Words from outside: harmless on a terminal, on a page and in a spreadsheet, and a path is still a path."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import InputError
from hilum.text import csv_cell, csv_path, escape, json_text, plain_cell, plain_path, printable, write_csv

STARTS = [*"=+-@\t\r\n", " =", "\uff1d", "\uff0b", "\uff0d", "\uff20"]
CONTROLS = [*map(chr, [*range(32), *range(127, 160)]), *"\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e"]
CONTROLS += [*"\u2066\u2067\u2068\u2069\u2028\u2029"]


@pytest.mark.parametrize("control", CONTROLS)
def test_no_control_or_bidirectional_character_is_printed(control: str) -> None:
    shown = printable(f"a{control}b é")
    assert control not in shown
    assert shown.startswith("a\\")
    assert shown.endswith("b é")
    assert (control in printable(f"a{control}b", lines=True)) == (control == "\n")
    text = json_text(json.dumps([f"a{control}b"], ensure_ascii=False))
    assert control not in text
    assert json.loads(text) == [f"a{control}b"]


def test_bytes_that_are_no_text_come_out_as_escapes() -> None:
    assert printable(os.fsdecode(b"\xff.png")) == "\\udcff.png"
    assert printable("Ärzte 肺.png") == "Ärzte 肺.png"


@pytest.mark.parametrize("start", STARTS)
def test_no_cell_begins_like_a_formula(start: str) -> None:
    assert csv_cell(f"{start}1+1") == f"'{start}1+1"
    assert csv_path(f"{start}1+1.png") == f"./{start}1+1.png"
    assert plain_cell(f"'{start}1+1") == f"{start}1+1"
    assert plain_path(f"./{start}1+1.png") == f"{start}1+1.png"


def test_numbers_and_harmless_text_stay_as_they_are() -> None:
    for value in (-0.5, 3, None, True, "-0.5", "+3", "-1e-05", "Covid-19", "a=b", "./a.png", "'a", ""):
        assert csv_cell(value) is value
    for path in ("a=b.png", "./a.png", "/-a.png", "../-a.png", ""):
        assert csv_path(path) == path
        assert plain_path(path) == path


@given(st.text())
def test_what_was_written_is_read(text: str) -> None:
    assert plain_cell(str(csv_cell(text))) == text or text.startswith("'")
    assert plain_path(csv_path(text)) == text or text.startswith("./")
    for shown in (str(csv_cell(text)), csv_path(text)):
        assert shown.lstrip()[:1] not in ("=", "+", "@")


def test_a_path_still_leads_to_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("=1.png").touch()
    assert Path(csv_path("=1.png")).exists()


def test_a_table_is_written_and_read_back() -> None:
    text = io.StringIO()
    write_csv(text, ["path", "=finding", "n"], [("-a.png", "@b", -1.5), ("c\nd", None, 2), ("e\rf", "\rg", 3)])
    assert list(csv.reader(io.StringIO(text.getvalue(), newline=""))) == [
        ["path", "'=finding", "n"],
        ["./-a.png", "'@b", "-1.5"],
        ["c\nd", "", "2"],
        ["e\rf", "'\rg", "3"],
    ]


def test_a_page_shows_no_control_character_and_runs_nothing() -> None:
    assert escape("<b>\x1b[2J\u202e&\n") == "&lt;b&gt;\\x1b[2J\\u202e&amp;\n"


def test_no_error_carries_a_control_character_to_any_outlet() -> None:
    error = InputError("Cannot read `a\x1b[2J\n\u202e.png`.", fix="Rename `\x07`.")
    assert str(error) == "Cannot read `a\\x1b[2J\\x0a\\u202e.png`. Rename `\\x07`."
    assert error.to_dict()["message"] == error.args[0] == "Cannot read `a\\x1b[2J\\x0a\\u202e.png`."


@pytest.mark.parametrize("format_", ["table", "jsonl"])
def test_a_film_with_an_evil_name_is_printed_harmless(
    command: Callable[..., Any], tiny_model: Path, tmp_path: Path, write_film: Callable[..., Path], format_: str
) -> None:
    name = "a\x1b[2J\u202e\x9b\x7f.png"
    write_film(tmp_path / name)
    (tmp_path / f"b{name}").write_bytes(b"no film")
    result = command("predict", "--model", tiny_model, tmp_path, "--format", format_)
    assert result.code == 1
    for sign in "\x1b\u202e\x9b\x7f":
        assert sign not in result.out + result.err
    if format_ == "jsonl":
        files = [Path(json.loads(line)["file"]).name for line in result.out.splitlines()]
        assert files == [name, f"b{name}"]
    result = command("predict", "--model", tiny_model, tmp_path / f"none{name}")
    assert result.code == 2
    assert "\x1b" not in result.err
    assert "none" in result.err
