"""The journal: what an earlier run has done is kept, what it half did is not, and only where the run is the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hilum.errors import InputError
from hilum.run.journal import Journal, journal_path, num_answers

RUN = {"model": "ab" * 32, "films": "cd" * 32, "heatmaps": None, "lungs": None, "hilum": "0.1.0"}
FILMS = [Path(name) for name in ("a.png", os.fsdecode(b"b \xff\n.png"), "c.png", "d.png")]
ANSWERS: list[dict[str, Any]] = [
    {"file": str(FILMS[0]), "probabilities": {"Normal": 0.1 + 0.2}, "heatmap": "maps/a.png"},
    {"file": str(FILMS[1]), "error": {"type": "UndecodableFilm", "message": "é", "fix": ""}},
    {"file": str(FILMS[2]), "finding": None},
]


def opened(out: Path, *, resume: bool = True, run: dict[str, Any] = RUN, films: list[Path] = FILMS) -> Journal:
    return Journal(out, run, films, resume=resume)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The output of a run that ended after three films of four."""
    with opened(tmp_path / "answers.csv", resume=False) as journal:
        for answer in ANSWERS:
            journal.add(answer)
    return tmp_path / "answers.csv"


def test_a_run_goes_on_where_it_stood(out: Path) -> None:
    seen: list[dict[str, Any]] = []
    with Journal(out, RUN, FILMS, resume=True, pass_by=seen.append) as journal:
        assert (journal.num_done, journal.outcomes["unread"]) == (3, 1)
        assert seen == ANSWERS
        journal.add({"file": "d.png", "error": {}})
        assert (journal.num_done, journal.outcomes["unread"]) == (4, 2)
        assert list(journal.answers()) == [*ANSWERS, {"file": "d.png", "error": {}}]
        journal.remove()
    assert not journal_path(out).exists()


def test_cut_off_at_any_byte_nothing_is_lost_or_repeated(out: Path) -> None:
    whole = journal_path(out).read_bytes()
    ends = [position + 1 for position, byte in enumerate(whole) if byte == ord("\n")]
    assert len(ends) == 4
    for size in range(len(whole)):
        journal_path(out).write_bytes(whole[:size])
        with opened(out) as journal:
            done = max(sum(end <= size for end in ends) - 1, 0)
            assert journal.num_done == done
            for answer in ANSWERS[done:]:
                journal.add(answer)
            assert list(journal.answers()) == ANSWERS
        assert journal_path(out).read_bytes() == whole


@pytest.mark.parametrize("damage", [b'{"file": "x.png"}\n', b"\0" * 20 + b"\n", b"[]\n", b"\xff\n"])
def test_a_damaged_line_and_all_behind_it_are_judged_again(out: Path, damage: bytes) -> None:
    lines = journal_path(out).read_bytes().splitlines(keepends=True)
    journal_path(out).write_bytes(b"".join([*lines[:2], damage, *lines[3:]]))
    with opened(out) as journal:
        assert journal.num_done == 1
        assert list(journal.answers()) == ANSWERS[:1]


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("model", "another model file (model: earlier `abababababab`, now `changed`"),
        ("films", "another list of films"),
        ("heatmaps", "another folder for heat maps (heatmaps: earlier none, now `changed`"),
        ("lungs", "another folder for lungs (lungs: earlier none, now `changed`"),
        ("hilum", "another version of hilum"),
    ],
)
def test_another_run_is_refused_and_nothing_is_lost(out: Path, key: str, words: str) -> None:
    before = journal_path(out).read_bytes()
    with pytest.raises(InputError) as caught:
        opened(out, run=RUN | {key: "changed"})
    assert words in str(caught.value)
    assert "replace --resume by --overwrite" in caught.value.fix
    assert journal_path(out).read_bytes() == before


def test_without_resume_or_without_a_journal_it_begins_anew(out: Path, tmp_path: Path) -> None:
    with opened(out, resume=False, run=RUN | {"model": "other"}) as journal:
        assert journal.num_done == 0
        assert list(journal.answers()) == []
    with opened(tmp_path / "new.csv") as journal:
        assert journal.num_done == 0
    journal_path(out).write_text('{"file": "a.png"}\n')  # no header: nobody knows of what run
    with opened(out) as journal:
        assert journal.num_done == 0


def test_a_file_of_anybody_else_is_no_journal_and_no_link_is_followed(out: Path, tmp_path: Path) -> None:
    words = "this file is not a journal of hilum"
    precious = tmp_path / "precious"
    journal_path(out).unlink()
    for content in (b"precious", b"\x89PNG\r\n\x1a\n", b"[]"):
        journal_path(out).write_bytes(content)
        with pytest.raises(InputError, match=words):
            opened(out, resume=False)
        assert journal_path(out).read_bytes() == content
    journal_path(out).unlink()
    precious.write_bytes(b"")
    for link in (journal_path(out).symlink_to, journal_path(out).hardlink_to):
        link(precious)
        with pytest.raises(InputError, match=words):
            opened(out, resume=False)
        assert precious.read_bytes() == b""
        journal_path(out).unlink()


def test_answers_of_an_unfinished_run_are_counted(out: Path, tmp_path: Path) -> None:
    assert num_answers(out) == 3
    assert num_answers(out, most=1) == 1
    assert num_answers(tmp_path / "other.csv") == 0
    journal_path(out).write_bytes(journal_path(out).read_bytes()[:-1])
    assert num_answers(out) == 2


def test_two_runs_do_not_write_one_file(out: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    assert fcntl
    before = journal_path(out).read_bytes()
    code = (
        "import sys; from pathlib import Path; from hilum.run.journal import Journal\n"
        f"Journal(Path(sys.argv[1]), {RUN!r}, [], resume=False)"
    )
    with opened(out) as journal:
        done = subprocess.run([sys.executable, "-c", code, out], capture_output=True, text=True, check=False)
        assert "Another run is writing" in done.stderr
        assert list(journal.answers()) == ANSWERS
    assert journal_path(out).read_bytes() == before


def test_numbers_come_back_as_they_were(out: Path) -> None:
    first = json.loads(journal_path(out).read_text().splitlines()[1])
    assert first["probabilities"]["Normal"] == 0.1 + 0.2
