"""Columns are known by the names that lists use, or by what the user says."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from hilum.data.columns import (
    Listing,
    check_columns,
    find_columns,
    is_column,
    listing,
    parse_columns,
)
from hilum.errors import InconsistentDataset, InputError

LIST = Path("films.csv")
NEEDED = ("path", "finding")


def found(*header: str, **told: str) -> dict[str, str]:
    columns = find_columns(LIST, header, told, needed=NEEDED)
    check_columns(LIST, columns, NEEDED)
    return {role: header[place] for role, place in columns.places.items()}


@pytest.mark.parametrize(
    "path", ["Image Index", "image", "filename", "filepath", "FILE_PATH", "img_name", "Image Name"]
)
@pytest.mark.parametrize(
    "finding", ["Finding Labels", "label", "CLASS", "Diagnosis", "target", "Labels", "ground-truth"]
)
def test_names_that_lists_use(path: str, finding: str) -> None:
    assert found("age", path, finding) == {"age": "age", "path": path, "finding": finding}


def test_hilum_s_own_names_win_and_others_are_left_alone() -> None:
    assert found("image", "path", "label", "finding") == {"path": "path", "finding": "finding"}
    assert found("filename", "image", "label") == {"path": "filename", "finding": "label"}
    assert found("path", "finding", "view", "page", "source_finding") == {"path": "path", "finding": "finding"}
    both = {"path": "path", "finding": "finding", "patient": "Patient ID", "source": "Hospital", "split": "subset"}
    assert found("path", "finding", "Patient ID", "Hospital", "subset") == both
    assert is_column("Image Index")
    assert not is_column("page")


def test_what_the_user_says_counts() -> None:
    header = ("scan", "dx", "label", "path")
    assert found(*header, path="scan", finding="dx") == {"path": "scan", "finding": "dx"}
    assert found(*header, path="SCAN", finding="label")["path"] == "scan"
    with pytest.raises(InputError, match=r"no column `scna`\. Did you mean `scan`"):
        found(*header, path="scna")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (
            ("file", "label", "class"),
            "more than one column that may hold the finding: label, class.*--column finding=label",
        ),
        (("path", "findng"), "unknown column `findng`. Did you mean `finding`.*--column finding=findng"),
        (("path", "finding", "patients"), "unknown column `patients`. Did you mean `patient`"),
        (
            ("path", "remark"),
            "no column `finding`. Expected .*Finding Labels; received path, remark.*--column finding=NAME",
        ),
        (("where", "finding"), "no column `path`"),
        (("path", "path", "finding"), "two columns `path`"),
        (("a/1.png", "Normal"), "The first line looks like a film. Add .* path,finding"),
        ((), "its first line is empty"),
    ],
)
def test_what_is_missing_or_twice_there_is_told(header: tuple[str, ...], words: str) -> None:
    with pytest.raises(InconsistentDataset) as caught:
        found(*header)
    assert re.search(words, str(caught.value), re.DOTALL)


def test_options() -> None:
    assert parse_columns(["path=Image Index", "finding=Finding Labels"]) == {
        "path": "Image Index",
        "finding": "Finding Labels",
    }
    assert parse_columns(["path=Image Index,finding=dx patient=p"]) == {
        "path": "Image Index",
        "finding": "dx",
        "patient": "p",
    }
    for text, words in (
        ("pth=a", "Did you mean `path`"),
        ("path", "needs an equals sign"),
        ("path=", "needs an equals sign"),
        ("path=a path=b", "two columns for path"),
    ):
        with pytest.raises(InputError, match=words):
            parse_columns([text])


def test_a_listing_is_a_path_that_remembers() -> None:
    one = listing("a/films.csv", {"path": "x"})
    assert one == Path("a/films.csv")
    for copy in (pickle.loads(pickle.dumps(one)), one.resolve()):
        assert isinstance(copy, Listing)
        assert copy.columns == {"path": "x"}
    assert one.parent == Path("a")
    assert Listing("b").columns == {}


def test_one_column_is_not_told_for_two_things() -> None:
    with pytest.raises(InputError, match="two roles"):
        find_columns(Path("l.csv"), ("a", "b"), {"path": "a", "finding": "a"}, needed=())
