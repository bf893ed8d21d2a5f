"""Where results of the Python API lie, and which paths it takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hilum.api import places
from hilum.api.places import data_path, new_folder, out_folder, read_frame, to_frame
from hilum.errors import InputError, MissingExtra


def test_str_and_path_are_alike_and_a_list_remembers_its_columns(tmp_path: Path) -> None:
    table = tmp_path / "films.csv"
    table.write_text("file,dx\na.png,Normal\n")
    assert data_path(str(tmp_path)) == data_path(tmp_path) == tmp_path
    assert data_path(table, {"path": "file", "finding": "dx"}).columns == {"path": "file", "finding": "dx"}


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"received a `int`"):
        data_path(3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="is empty"):
        data_path("")
    with pytest.raises(InputError, match="is not a CSV file"):
        data_path(tmp_path, {"path": "file"})
    with pytest.raises(InputError, match=r"`pth` is not known\. Did you mean `path`"):
        data_path(tmp_path, {"pth": "file"})


def test_a_folder_that_holds_something_is_never_written_into(tmp_path: Path) -> None:
    with new_folder(tmp_path / "new" / "one") as made:
        (made / "a.txt").write_text("a")
    with pytest.raises(InputError, match="exists already"), new_folder(tmp_path / "new"):
        pass
    with pytest.raises(InputError, match="exists already"), new_folder(str(made / "a.txt")):
        pass
    assert (made / "a.txt").read_text() == "a"


def test_a_temporary_folder_is_removed_when_python_ends(tmp_path: Path) -> None:
    assert out_folder(str(tmp_path), "train") == tmp_path
    code = "from hilum.api.places import out_folder; p = out_folder(None, 'train'); p.mkdir(); print(p.parent)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "hilum-" in done.stdout
    assert not Path(done.stdout.strip()).exists()


def test_a_finding_may_be_called_none() -> None:
    frame = read_frame("finding,p\nNone,0.5\nNA,\n")
    assert list(frame["finding"]) == ["None", "NA"]
    assert frame["p"].isna().tolist() == [False, True]


def test_a_table_without_rows_has_its_columns() -> None:
    assert list(to_frame([], ["kind", "message"]).columns) == ["kind", "message"]
    assert list(to_frame([{"a": 1}], ["kind"]).columns) == ["a"]


def test_without_pandas_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "is_installed", lambda _: False)
    for make in (lambda: read_frame("a\n1\n"), lambda: to_frame([{"a": 1}])):
        with pytest.raises(MissingExtra, match=r"A data frame needs the extra `pandas`.*pip install"):
            make()
