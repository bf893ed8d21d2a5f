"""What a person names becomes a list of films: in order, the same each time it is read, however long it is."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from hilum.data import filmlist
from hilum.data.columns import listing
from hilum.data.filmlist import STANDARD_INPUT, FilmList, check_paths, list_films
from hilum.errors import InconsistentDataset, InputError

NO_UTF8 = os.fsdecode(b"odd \xff.png")


def names(*paths: Path | str, given: bytes | None = None) -> list[str]:
    stream = None if given is None else io.BytesIO(given)
    return [str(path) for path in list_films([Path(path) for path in paths], standard_input=stream)]


def test_files_folders_and_lists_in_the_order_they_are_named(tmp_path: Path) -> None:
    for name in ("folder/b.png", "folder/a/deep.dcm", "c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    table = tmp_path / "list.csv"
    table.write_text("age,path\n3,c.png\n4,missing.png\n")
    found = names(tmp_path / "c.png", tmp_path / "folder", table, STANDARD_INPUT, given=b"x.png\n")
    expected = ["c.png", "folder/a/deep.dcm", "folder/b.png", "c.png", "missing.png"]
    assert found == [*(str(tmp_path / name) for name in expected), "x.png"]


@pytest.mark.parametrize(
    "given",
    [
        b"a.png\nb c.png\n",
        b"a.png\nb c.png",
        b"\xef\xbb\xbfa.png\r\n\r\nb c.png\r\n",
        b"a.png\0b c.png\0",
        b"a.png\0b c.png",
        b"\n  \na.png\nb c.png\n\n",
    ],
)
def test_lists_on_standard_input(given: bytes) -> None:
    assert names("-", given=given) == ["a.png", "b c.png"]


def test_names_ended_by_nul_may_hold_line_ends() -> None:
    assert names("-", given=b"a\nb.png\0c\r\0") == ["a\nb.png", "c\r"]


def test_names_that_are_no_utf8() -> None:
    assert names("-", given=b"odd \xff.png\n") == [NO_UTF8]


@pytest.mark.parametrize("separator", [b"\n", b"\0"])
def test_a_long_list_is_read_in_pieces(separator: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filmlist, "_PIECE_BYTES", 64)
    expected = [f"folder/{number:03}-{'x' * (number % 50)}.png" for number in range(300)]
    assert names("-", given=b"".join(name.encode() + separator for name in expected)) == expected


def test_a_list_reads_the_same_twice_at_once_and_beyond_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filmlist, "_IN_MEMORY_BYTES", 100)
    monkeypatch.setattr(filmlist, "_PIECE_BYTES", 32)
    paths = [Path(f"{number}.png") for number in range(100)]
    films = FilmList(iter(paths))
    assert films.num_films == 100
    assert list(zip(films, films, strict=True)) == [(path, path) for path in paths]


def test_its_sum_tells_lists_apart() -> None:
    def sha256(*found: str) -> str:
        return FilmList(Path(name) for name in found).sha256

    assert sha256("a", "b") == sha256("a", "b")
    assert len({sha256("a", "b"), sha256("b", "a"), sha256("ab"), sha256("a"), sha256("a", "b", "c")}) == 5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("where\na.png\n", "no column `path`"),
        ("", "received none: its first line is empty"),
        ("path,path\na,b\n", "two columns `path`"),
        ("path,age\na.png\n", "Line 2 of `"),
        ("path,age\na.png,3\n ,4\n", "Line 3 of `"),
        ('path\n"a.png\n', "unexpected end of data"),
    ],
)
def test_bad_csv_files(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(InconsistentDataset) as caught:
        names(tmp_path / "list.csv")
    assert words in str(caught.value)
    assert "list.csv" in str(caught.value)
    assert caught.value.fix


def test_csv_files_as_they_come(tmp_path: Path) -> None:
    (tmp_path / "LIST.CSV").write_bytes(
        b'\xef\xbb\xbfAge, Path \r\n1,"a, b.png"\r\n,\r\n2,/c.png\r\n3,odd \xff.png\r\n'
    )
    assert names(tmp_path / "LIST.CSV") == [str(tmp_path / "a, b.png"), "/c.png", str(tmp_path / NO_UTF8)]


def test_csv_files_of_other_programs(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.png").touch()
    for name, data in (
        ("list.csv", "sep=;\nage;Image Index\n3;sub\\a.png\n".encode("utf-16")),
        ("list.tsv", b"age\tfilename\n3\tsub/a.png\n"),
        ("list.txt", b'"path";"age"\n"sub/a.png";3\n'),
    ):
        (tmp_path / name).write_bytes(data)
        assert names(tmp_path / name) == [str(tmp_path / "sub/a.png")]
    (tmp_path / "odd.csv").write_text("where,age\nsub/a.png,3\n")
    (tmp_path / "commented.txt").write_text(f"# mine\nsep=,\npath;n\nfile://{tmp_path}/sub/a.png;1\n")
    assert list(list_films([tmp_path / "commented.txt"])) == [tmp_path / "sub/a.png"]
    assert list(list_films([STANDARD_INPUT], standard_input=io.BytesIO(b"file:///x/a%20b.png\n"))) == [
        Path("/x/a b.png")
    ]
    odd = listing(tmp_path / "odd.csv", {"path": "where", "finding": "dx"})
    assert list(list_films([odd])) == [tmp_path / "sub/a.png"]


def test_text_files_with_a_path_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("lists/a.png", "here/b.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    text = "a.png\n\nhere/b.png\n.\\a.png\ngone.png\n"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / "lists/films.txt").write_bytes(text.replace("\n", "\r\n").encode(encoding))
        assert names(Path("lists/films.txt")) == ["lists/a.png", "here/b.png", "lists/a.png", "lists/gone.png"]
    (tmp_path / "lists/films.txt").write_text(f"# mine, by path\n\nfile://{tmp_path}/here/b%2Epng\n#3.png\n")
    assert names("lists/films.txt") == [str(tmp_path / "here/b.png"), "lists/#3.png"]
    (tmp_path / "film.txt").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    assert names("film.txt") == ["film.txt"]
    (tmp_path / "empty.txt").touch()
    with pytest.raises(InputError, match=r"No film was found in `empty\.txt`"):
        names("empty.txt")


def test_what_folders_hold_beside_films_is_counted(tmp_path: Path) -> None:
    for name in ("a.png", "b.dcm.gz", "c.nii", ".DS_Store"):
        (tmp_path / name).touch()
    assert list_films([tmp_path]).passed_over == (
        f"Passed over: 1 file .dcm.gz in {tmp_path}/ (unpack them with gunzip); 1 file .nii in {tmp_path}/ (volumes, "
        "not films: hilum reads PNG, JPEG and DICOM)."
    )
    (tmp_path / "a.png").unlink()
    with pytest.raises(InputError, match=r"No film was found in .* Passed over: 1 file .dcm.gz"):
        list_films([tmp_path])


def test_what_is_no_list(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds a file, not a list"):
        names("-", given=b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(InputError, match="holds a file, not a list"):
        names("-", given=bytes(128) + b"DICM" + bytes(100))
    with pytest.raises(InputError, match="Line 2 of standard input has 32,768 bytes or more"):
        names("-", given=b"a.png\n" + b"x" * 200_000)
    with pytest.raises(InputError, match="Line 1 of standard input"):
        names("-", given=b"x" * 40_000)
    with pytest.raises(InputError, match="named twice"):
        names("-", "-", given=b"a.png")
    with pytest.raises(InputError, match="no standard input"):
        names("-")
    for given in (b"", b"\n\n", b"\0\0"):
        with pytest.raises(InputError, match="No film was found in `-`"):
            names("-", given=given)
    (tmp_path / "list.csv").write_text("path\n")
    with pytest.raises(InputError, match="No film was found"):
        names(tmp_path / "list.csv")


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    check_paths([tmp_path, STANDARD_INPUT])
    with pytest.raises(InputError, match=r"missing.*does not exist"):
        check_paths([tmp_path, tmp_path / "missing"])
