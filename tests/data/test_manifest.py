"""Lists in the forms that people save them say the same; what they cannot say is told."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from hilum.data.columns import ROLES, Columns, listing
from hilum.data.folder import FilmRecord, read_dataset
from hilum.data.manifest import (
    film_cells,
    film_key,
    find_marks,
    group_columns,
    marked_finding,
)
from hilum.errors import InconsistentDataset, InputError

Films = dict[str, str]
FORMS = (
    *("case", "caseext", "cr", "extra", "leadslash", "names", "noext", "patient_id", "semi", "sep", "utf16", "win"),
    *("win2", "winabs"),
)
ROWS = [("Normal/00.png", "Normal"), ("Normal/01.png", "Normal"), ("Sick/00.png", "Effusion"), ("Sick/02.png", "Mass")]
MARKS = "path,Normal,Effusion,Mass\nNormal/00.png,1,0,0\nNormal/01.png,1,0,0\nSick/00.png,0,1,0\nSick/02.png,0,0,1\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path, _ in ROWS:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(b"film")
    return tmp_path


def write(folder: Path, text: str, name: str = "films.csv", encoding: str = "utf-8") -> Path:
    (folder / name).write_bytes(text.encode(encoding))
    return folder / name


def films(path: Path, **options: int) -> Films:
    return {record.path: record.finding for record in read_dataset(path, **options).records}


def lines(join: str = ",", header: str = "path,finding", change: Callable[[str], str] = str) -> str:
    return "".join(f"{join.join(row)}\n" for row in (header.split(","), *((change(path), name) for path, name in ROWS)))


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (lines(), "utf-8"),
        (lines(), "utf-8-sig"),
        (lines("\t"), "utf-16"),
        (lines(";"), "latin-1"),
        (lines("|"), "utf-8"),
        ("sep=;\n" + lines(";"), "utf-8"),
        (lines(header="Image Index,Finding Labels"), "utf-8"),
        (lines(header="filename,label"), "utf-8"),
        (lines(change=lambda path: path.replace("/", "\\")), "utf-8"),
        (lines(change=lambda path: ".\\" + path.replace("/", "\\")), "utf-8"),
        (lines(change=lambda path: "C:\\Users\\me\\films\\" + path.replace("/", "\\")), "utf-8"),
        (lines(change=lambda path: "\\\\server\\share\\" + path.replace("/", "\\")), "utf-8"),
        (lines(change=lambda path: f"/home/other/{path}"), "utf-8"),
        (lines(change=lambda path: f"/{path}"), "utf-8"),
        (lines(change=lambda path: path.removesuffix(".png")), "utf-8"),
        (lines(change=lambda path: path.upper()), "utf-8"),
        (lines(";").replace("\n", ";;\n"), "utf-8"),
        (MARKS, "utf-8"),
    ],
)
def test_one_list_in_every_form(folder: Path, text: str, encoding: str) -> None:
    assert films(write(folder, text, encoding=encoding)) == dict(ROWS)


@pytest.mark.parametrize("name", ["films.tsv", "films.TXT", "films.tab", "films.CSV"])
def test_other_suffixes(folder: Path, name: str) -> None:
    assert films(write(folder, lines("\t"), name)) == dict(ROWS)


def test_bare_names_are_found_in_sub_folders_where_they_are_unique(folder: Path) -> None:
    assert films(write(folder, "Image Index,Finding Labels\n01.png,No Finding\n02.png,Mass\n")) == {
        "Normal/01.png": "Normal",
        "Sick/02.png": "Mass",
    }
    with pytest.raises(InconsistentDataset, match=r"1 of the 2 films .* do not exist; the first is `00.png`"):
        films(write(folder, "path,finding\n00.png,Normal\n02.png,Mass\n"))
    with pytest.raises(InconsistentDataset, match=r"do not exist; the first is `Normal/00.jpg`"):
        films(write(folder, "path,finding\nNormal/00.jpg,Normal\nSick/02.png,Mass\n"))


def test_columns_are_told_and_said(folder: Path) -> None:
    path = write(folder, lines(header="scan,dx2"))
    with pytest.raises(InconsistentDataset, match="no column `path`"):
        films(path)
    dataset = read_dataset(listing(path, {"path": "scan", "finding": "dx2"}))
    assert {record.path: record.finding for record in dataset.records} == dict(ROWS)
    assert [remark.message for remark in dataset.remarks] == ["Columns of the list: `scan` as path, `dx2` as finding."]
    with pytest.raises(InputError, match="no column `scam`"):
        films(listing(path, {"path": "scam"}))


def test_marks_of_no_finding_and_of_several_are_counted(folder: Path) -> None:
    text = "file,Normal,Mass\nNormal/00.png,1,0\nNormal/01.png,0,0\nSick/00.png,1,1\nSick/02.png,0,1\n"
    dataset = read_dataset(write(folder, text))
    assert {record.path: record.finding for record in dataset.records} == {
        "Normal/00.png": "Normal",
        "Sick/00.png": "Normal|Mass",
        "Sick/02.png": "Mass",
    }
    told = {remark.kind: remark.message for remark in dataset.remarks}
    assert told["left-out"].startswith("1 film has no 1 in the columns of findings (Normal, Mass)")
    assert told["ambiguous-label"].startswith("1 film has an ambiguous label, which names more")


def test_a_split_by_another_name_counts_where_it_says_parts(folder: Path) -> None:
    text = "path,finding,subset\n" + "".join(f"{path},{name},{part}\n" for (path, name), part in zip(
        ROWS, ("train", "Testing", "train", "train"), strict=True))  # fmt: skip
    assert {record.split for record in read_dataset(write(folder, text)).records} == {"train", "test"}
    other = read_dataset(write(folder, text.replace("Testing", "weekend")))
    assert {record.split for record in other.records} == {None}


def test_placeholder_words_are_no_patients(folder: Path) -> None:
    text = "path,finding,Patient ID\n" + "".join(f"{path},{name},{who}\n" for (path, name), who in zip(
        ROWS, ("0", "unknown", "N/A", "p3"), strict=True))  # fmt: skip
    assert [record.patient for record in read_dataset(write(folder, text)).records] == ["0", None, None, "p3"]


def test_a_list_of_paths_is_told_what_it_lacks(folder: Path) -> None:
    for text in ("Normal/00.png\nSick/00.png\n", "some where\n"):
        with pytest.raises(InconsistentDataset, match=r"is a list of paths.*`hilum predict`.*path,finding"):
            films(write(folder, text, "films.txt"))


def test_the_cases(cases: Path) -> None:
    pool = cases / "10-finding-names-by-case" / "pool"
    good = films(pool / "bomquote.csv")
    assert len(good) == 28
    assert {name: films(pool / f"{name}.csv") == good for name in FORMS} == dict.fromkeys(FORMS, True)
    assert len(films(pool / "num.csv")) == 28
    assert set(films(pool / "pipe.csv").values()) == {"Normal", "Effusion"}
    for name in ("sep", "win", "utf16"):
        with pytest.raises(InconsistentDataset, match=r"do not exist; the first is `Normal/00.png`"):
            films(cases / "15-messages" / f"{name}.csv")  # the films lie beside the other copies


def test_a_column_called_set_is_the_split_and_a_fold_is_none(folder: Path) -> None:
    text = "path,finding,{}\nNormal/00.png,Normal,{}\nSick/00.png,Effusion,{}\n"
    found = read_dataset(write(folder, text.format("set", "train", "train")))
    assert [record.split for record in found.records] == ["train", "train"]
    found = read_dataset(write(folder, text.format("fold", "0", "1")))
    assert [record.split for record in found.records] == [None, None]
    assert not found.remarks


def test_words_for_an_empty_cell_are_no_finding(folder: Path) -> None:
    with pytest.raises(InconsistentDataset, match="gives no finding"):
        read_dataset(write(folder, "path,finding\nNormal/00.png,nan\nSick/00.png,Effusion\n"))


@pytest.mark.parametrize("word", ["?", "-", "Unknown", "unlabeled", "Not stated", "todo"])
def test_words_for_an_unknown_finding_are_none(folder: Path, word: str) -> None:
    with pytest.raises(
        InconsistentDataset, match=rf"Line 5 .* gives no finding for `Sick/02\.png`, but `{re.escape(word)}`"
    ):
        read_dataset(write(folder, lines().replace("Mass", word)))


def test_a_column_of_0_and_1_for_unknown_findings_is_no_finding(folder: Path) -> None:
    rows = "Normal/00.png,1,0,0", "Sick/02.png,0,1,0", "Normal/01.png,0,0,1"
    dataset = read_dataset(write(folder, "\n".join(("path,Normal,Mass,Unknown", *rows))))
    assert dataset.findings == ("Normal", "Mass")
    assert [remark.paths for remark in dataset.remarks if remark.kind == "left-out"] == [("Normal/01.png",)]


def test_an_encoding_that_is_guessed_is_told(folder: Path) -> None:
    dataset = read_dataset(write(folder, lines().replace("Mass", "Б"), encoding="cp1251"))
    assert [remark.message for remark in dataset.remarks] == [
        "The list is not in UTF-8. It is read as Windows-1252; line 5 holds `Á`. "
        "If that is wrong, save the list in UTF-8."
    ]
    text = lines(header="path,finding").replace("\n", ",Jörg\n").replace("finding,Jörg", "finding,patient")
    told = [remark.message for remark in read_dataset(write(folder, text, encoding="cp1252")).remarks]
    assert told == [
        "The list is not in UTF-8. It is read as Windows-1252; see line 2. If that is wrong, save the list in UTF-8."
    ]  # without the patient's name
    with pytest.raises(InconsistentDataset, match="Rename it, and save the list in UTF-8"):
        read_dataset(write(folder, lines().replace("Mass", "胸水"), encoding="shift_jis"))


@pytest.mark.parametrize("name", ["is_test", "Train", "validation set"])
def test_a_column_that_looks_like_parts_and_is_not_read_is_told(folder: Path, name: str) -> None:
    text = lines().replace("\n", ",0\n").replace("finding,0", f"finding,{name}")
    dataset = read_dataset(write(folder, text))
    assert f"`{name}` is not read. To say which films are the test part" in dataset.remarks[0].message
    assert {record.split for record in dataset.records} == {None}


def test_a_column_test_that_is_the_finding_is_read(folder: Path) -> None:
    table = listing(write(folder, lines(header="path,test")), {"finding": "test"})
    assert [remark.message for remark in read_dataset(table).remarks] == ["Columns of the list: `test` as finding."]


@pytest.mark.parametrize("name", ["MRN", "case_id", "Person ID", "patient name"])
def test_patients_by_other_names_of_their_column(folder: Path, name: str) -> None:
    text = lines().replace("\n", ",P1\n").replace("finding,P1", f"finding,{name}")
    assert {record.patient for record in read_dataset(write(folder, text)).records} == {"P1"}


def test_an_id_counts_before_a_name_and_placeholders_are_no_patient(folder: Path) -> None:
    text = lines().replace("\n", ",Doe,P1\n").replace("Doe,P1", "patient_name,MRN", 1)
    assert {record.patient for record in read_dataset(write(folder, text)).records} == {"P1"}
    text = lines().replace("\n", ",Anonymised\n").replace("Anonymised", "patient_name", 1)
    assert {record.patient for record in read_dataset(write(folder, text)).records} == {None}


@pytest.mark.parametrize("cell", ['"Normal/00.png', '"a ""b" c"'])
def test_a_quotation_mark_that_is_not_closed_is_named_with_its_line(folder: Path, cell: str) -> None:
    with pytest.raises(InconsistentDataset, match=r"Cannot read line 6 of .*films\.csv"):
        read_dataset(write(folder, f"{lines()}{cell},Normal\nSick/00.png,Mass\nSick/01.png,Mass\n"))


def test_one_column_of_0_and_1_is_refused_with_both_ways_out(folder: Path) -> None:
    table = write(folder, "path,Effusion\nNormal/00.png,0\nSick/00.png,1\n")
    with pytest.raises(InconsistentDataset) as refused:
        read_dataset(table)
    assert "one column of 0 and 1, `Effusion`" in refused.value.message
    assert "--column finding=Effusion" in refused.value.fix
    assert "path,Effusion,Normal" in refused.value.fix
    assert set(films(listing(table, {"finding": "Effusion"})).values()) == {"0", "1"}
    with pytest.raises(InconsistentDataset, match=r"unknown column `findng`.*--column finding=findng"):
        read_dataset(write(folder, "path,findng\nNormal/00.png,0\nSick/00.png,1\n"))


def test_further_columns_of_a_manifest_make_groups(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for n in range(20):
        (tmp_path / f"a/{n}.png").touch()
    lines = ["path,finding,patient,patient_name,view,sex,serial,constant"]
    lines += [
        f"a/{n}.png,Normal,p{n},Doe {n % 3},{'PA' if n % 2 else 'AP'},{'F' if n < 10 else ''},{n},x" for n in range(20)
    ]
    (tmp_path / "films.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    found = group_columns(tmp_path / "films.csv")
    assert found[film_key(tmp_path, "a/3.png")] == {"view position": "PA", "sex": "F"}
    assert found[film_key(tmp_path, "a/./12.png")] == {"view position": "AP"}
    assert group_columns(tmp_path) == {}
    films = tmp_path / "films.csv"
    films.write_text(films.read_text(encoding="utf-8-sig").replace("a/", f"{tmp_path}/a/"), encoding="utf-8")
    assert group_columns(films) == found  # all paths absolute


# --- columns of 0 and 1 are findings where there are two of them or more ----------------------------------------------


def test_columns_of_ones() -> None:
    columns = Columns({"path": 0}, ("path", "Normal", "Effusion", "age"))
    rows = [
        ["a", "1", "0", "45"],
        ["b", "0", "1.0", "1"],
        ["c", "0", "", "0"],
        ["d", "1", "true", "1"],
        ["e", "1", "-1", ""],
    ]
    marked = find_marks(columns, rows)
    assert marked.marks == (1, 2)
    labels = [marked_finding(marked, row) for row in rows]
    assert labels == ["Normal", "Effusion", "", "Normal|Effusion", "Normal|Effusion"]
    assert find_marks(columns, [["a", "7", "0", "1"]]).marks == ()


def test_other_marks_and_columns_that_are_no_findings() -> None:
    columns = Columns({"path": 0}, ("path", "Sex", "is_test", "Normal", "Effusion"))
    marked = find_marks(columns, [["a", "1", "0", "Y", "nan"], ["b", "0", "1", "N", "x"]])
    assert marked.marks == (3, 4)
    assert marked_finding(marked, ["a", "1", "0", "Y", "nan"]) == "Normal"


def test_every_cell_has_its_column() -> None:
    record = FilmRecord("1.png", "Normal", "test", "p1", "Oslo", "g1", 45.5, "F")
    cells = dict(zip(ROLES, film_cells(record, str.upper), strict=True))
    assert cells == {
        "path": "1.PNG",
        "finding": "Normal",
        "split": "test",
        "patient": "p1",
        "source": "Oslo",
        "group": "g1",
        "age": "45.5",
        "sex": "F",
    }
    assert film_cells(FilmRecord("1.png", "Normal", None), str) == ("1.png", "Normal", "", "", "", "", "", "")
