"""The same table in whatever dialect it is saved reads the same."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hilum.data.columns import is_column
from hilum.data.table import cell_text, encoding_of, open_table
from hilum.errors import InconsistentDataset, InputError

HEADER = ("path", "finding", "note")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32")


def read(path: Path) -> tuple[tuple[str, ...], list[list[str]]]:
    with open_table(path, is_known=is_column) as table:
        return table.header, [row for _, row in table.rows]


cells = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp", "Cf")), min_size=1)
rows = st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=5)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=rows,
    separator=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(ENCODINGS),
    ending=st.sampled_from(("\n", "\r\n", "\r")),
    quoting=st.sampled_from((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)),
    sep_line=st.booleans(),
    empty_columns=st.integers(0, 2),
    blank_line=st.booleans(),
)
def test_a_table_reads_the_same_in_every_dialect(  # noqa: PLR0917 - hypothesis hands them over by name
    tmp_path: Path,
    rows: list[tuple[str, ...]],
    separator: str,
    encoding: str,
    ending: str,
    quoting: int,
    sep_line: bool,
    empty_columns: int,
    blank_line: bool,
) -> None:
    text = io.StringIO(newline="")
    if sep_line:
        text.write(f"sep={separator}{ending}")
    elif blank_line:
        text.write(ending)
    writer = csv.writer(text, delimiter=separator, lineterminator=ending, quoting=quoting)  # type: ignore[arg-type]
    for row in (HEADER, *rows):
        writer.writerow((*row, *("",) * empty_columns))
    table = tmp_path / "films.csv"
    table.write_bytes(text.getvalue().encode(encoding))
    assert read(table) == (HEADER, [list(row) for row in rows])


def test_windows_1252_is_read_cell_by_cell(tmp_path: Path) -> None:
    table = tmp_path / "films.csv"
    table.write_bytes("path;finding\né.png;Émphysème – aiguë\n".encode("cp1252"))
    _, ((path, finding),) = read(table)
    assert (cell_text(path), cell_text(finding)) == ("é.png", "Émphysème – aiguë")
    assert cell_text("plain") == "plain"


def test_separators_are_told_by_the_columns_they_make(tmp_path: Path) -> None:
    table = tmp_path / "films.csv"
    table.write_text("path;finding, as read|by two\na,b.png;Normal|Effusion\n")
    assert read(table) == (("path", "finding, as read|by two"), [["a,b.png", "Normal|Effusion"]])
    table.write_text('path, finding\na.png, "x, y"\n')
    assert read(table)[1] == [["a.png", "x, y"]]


def test_lines_are_numbered_as_an_editor_numbers_them(tmp_path: Path) -> None:
    table = tmp_path / "films.csv"
    for start, number in (("", 2), ("sep=,\n", 3), ("\n\n", 4)):
        table.write_text(f"{start}path,finding\na.png,Normal\nb.png\n")
        with pytest.raises(InconsistentDataset, match=f"Line {number + 1} of .* has 1 cell; expected 2, the number"):
            read(table)


def test_a_line_of_too_few_or_too_many_cells_says_what_to_do(tmp_path: Path) -> None:
    table = tmp_path / "films.csv"
    table.write_text("path;finding;age\na.png;Normal\n")
    with pytest.raises(
        InconsistentDataset, match=r"Line 2 .* has 2 cells; expected 3.* empty cell needs its semicolon"
    ):
        read(table)
    table.write_text("path,finding\na.png,Normal,left\n")
    with pytest.raises(InconsistentDataset, match=r"Line 2 .* has 3 cells; expected 2.*contain a comma in quotes"):
        read(table)


@pytest.mark.parametrize(
    "start", ["sep=,", "sep=;", "sep=\\t", "# my list", '"# my list; of 2020, by hand"', "#\nsep=|"]
)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_wrong_separator_and_comments_before_the_columns_do_no_harm(
    tmp_path: Path, start: str, separator: str
) -> None:
    table = tmp_path / "films.csv"
    lines = (start, "", "# more", separator.join(HEADER), separator.join(("a.png", "#1 of 2", "x")))
    table.write_text("\n".join(lines))
    assert read(table) == (HEADER, [["a.png", "#1 of 2", "x"]])


@pytest.mark.parametrize("header", ["# path,finding", "#,path,finding"])
def test_columns_whose_names_begin_with_a_number_sign_are_no_comment(tmp_path: Path, header: str) -> None:
    table = tmp_path / "films.csv"
    table.write_text(f"{header}\n" + "1,a.png,Normal\n"[2 * header.startswith("# ") :])
    assert read(table)[0] == tuple(header.split(","))
    assert len(read(table)[1]) == 1
    table.write_text("# path and label, by hand\npath,finding\nb.png\n")
    with pytest.raises(InconsistentDataset, match="Line 3"):
        read(table)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"PK\x03\x04" + bytes(100), "an Excel workbook"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "a picture"),
        (b'path,finding\n"a.png,x\n', "unexpected end of data"),
        ("path,finding\n".encode("utf-16") + b"x", "truncated data"),
    ],
)
def test_what_is_no_table_is_told_so(tmp_path: Path, data: bytes, words: str) -> None:
    table = tmp_path / "films.csv"
    table.write_bytes(data)
    with pytest.raises(InconsistentDataset, match=words):
        read(table)
    with pytest.raises(InputError, match="No such file"):
        read(tmp_path / "gone.csv")


def test_encodings() -> None:
    assert encoding_of(b"") == encoding_of(b"path,finding") == "utf-8-sig"
    assert [encoding_of("path,finding".encode(name)) for name in ENCODINGS[2:]] == [
        *("utf-16", "utf-16-le", "utf-16-be", "utf-32")
    ]
