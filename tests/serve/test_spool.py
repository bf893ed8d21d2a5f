"""The spool: nothing is lost, whatever step is cut off."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hilum.errors import InputError
from hilum.serve.spool import Spool, film_number, study_number

MODEL, OTHER = "a" * 64, "b" * 64
FILM, RESULTS = b"film", {"report.dcm": b"report", "heatmap.dcm": b"heat"}


def keep_film(spool: Spool, data: bytes, sop_instance_uid: str, study_instance_uid: str = "") -> Path | None:
    """Keep a film whose file is in memory."""
    arrival = spool.receive()
    arrival.write_file(data)
    return spool.keep(arrival, sop_instance_uid, study_instance_uid)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_film_is_on_disk_with_its_folder_before_it_counts_as_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    spool = Spool(tmp_path / "spool", MODEL)
    fsync = os.fsync

    def noted(handle: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()) if Path("/proc/self/fd").exists() else "")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    film = keep_film(spool, FILM, "1.2.3")
    assert film is not None
    assert film.read_bytes() == FILM
    assert len(synced) == 2
    if synced[0]:
        assert ".part-" in synced[0]
        assert synced[1].endswith("incoming")


def test_nobody_else_may_look_into_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", MODEL)
    film = keep_film(spool, FILM, "1.2.3")
    assert film is not None
    assert (tmp_path / "spool").stat().st_mode & 0o077 == 0
    assert film.stat().st_mode & 0o077 == 0
    assert "1.2.3" not in film.name


@pytest.mark.parametrize("foreign", ["incoming/a.dcm", "notes.txt", "outgoing/x/a.dcm"])
def test_a_folder_of_anybody_else_is_no_spool(tmp_path: Path, foreign: str) -> None:
    """What lies in a spool is judged and removed."""
    (tmp_path / foreign).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / foreign).write_text("precious")
    with pytest.raises(InputError, match=r"not a spool made by hilum\. Nothing"):
        Spool(tmp_path, MODEL)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / foreign]


def test_a_link_in_a_spool_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    Spool(tmp_path / "spool", MODEL).close()
    (tmp_path / "spool" / "incoming").rmdir()
    (tmp_path / "spool" / "incoming").symlink_to(tmp_path / "films")
    with pytest.raises(InputError, match="not a spool made by hilum"):
        Spool(tmp_path / "spool", MODEL)


def test_a_spool_that_was_cut_off_while_it_was_made_is_one(tmp_path: Path) -> None:
    (tmp_path / "incoming").mkdir()
    Spool(tmp_path, MODEL).close()
    Spool(tmp_path, OTHER).close()


def test_one_film_twice_is_one_and_another_content_is_another(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MODEL)
    first, again, other = (keep_film(spool, data, "1.2.3") for data in (FILM, FILM, b"whole film"))
    assert first == again != other
    assert len(spool.waiting_films()) == 2


def test_a_judged_film_is_not_kept_again_but_for_another_model(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MODEL)
    film = keep_film(spool, FILM, "1.2.3")
    assert film is not None
    results = spool.keep_results(film, RESULTS)
    assert names(results) == ["heatmap.dcm", "report.dcm"]
    assert spool.is_judged(film)
    assert keep_film(spool, FILM, "1.2.3") is None
    spool.finish(results)
    assert not results.exists()
    assert keep_film(spool, FILM, "1.2.3") is None
    spool.close()
    other = Spool(tmp_path, OTHER)
    assert not other.is_judged(film)
    assert keep_film(other, FILM, "1.2.3") == film


def test_a_film_that_comes_in_pieces_is_the_same_film(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MODEL)
    arrival = spool.receive()
    arrival.begin(b"who wrote it")
    for piece in (b"fi", b"lm"):
        arrival.write(piece)
    assert spool.waiting_films() == []
    film = spool.keep(arrival, "1.2.3", "1.2")
    assert film is not None
    assert film.read_bytes() == b"who wrote itfilm"
    assert keep_film(spool, FILM, "1.2.3", "1.2") == film
    assert names(tmp_path / "incoming") == [film.name]
    thrown = spool.receive()
    thrown.write(b"half")
    thrown.discard()
    assert names(tmp_path / "incoming") == [film.name]


def test_another_content_is_another_film_with_results_of_its_own(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MODEL)
    first = keep_film(spool, FILM, "1.2.3", "1.2")
    assert first is not None
    assert not spool.is_another_content(first)
    spool.keep_results(first, RESULTS)
    spool.drop_film(first)
    other = keep_film(spool, b"other", "1.2.3", "1.2")
    assert other is not None
    assert not spool.is_judged(other)
    assert spool.is_another_content(other)
    assert not spool.is_another_content(first)
    assert (film_number(first), study_number(first)) == (film_number(other), study_number(other))
    spool.keep_results(other, RESULTS)
    assert len(spool.waiting_results()) == 2
    assert {study_number(results) for results in spool.waiting_results()} == {study_number(first)}


def test_names_follow_from_identifiers_by_a_key_of_the_spool_s_own(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "a", MODEL)
    film = keep_film(spool, FILM, "1.2.3", "1.2")
    assert film is not None
    assert (tmp_path / "a" / "key").stat().st_mode & 0o077 == 0
    spool.close()
    assert keep_film(Spool(tmp_path / "a", OTHER), FILM, "1.2.3", "1.2") == film
    foreign = keep_film(Spool(tmp_path / "b", MODEL), FILM, "1.2.3", "1.2")
    assert foreign is not None
    assert (film_number(foreign), study_number(foreign)) != (film_number(film), study_number(film))
    assert study_number(Path("0123-4567.dcm")) == ""


def test_results_come_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, MODEL)
    film = keep_film(spool, FILM, "1.2.3")
    assert film is not None
    fsync, left = os.fsync, [2]

    def full(handle: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        spool.keep_results(film, RESULTS)
    assert names(tmp_path / "outgoing") == []
    assert spool.waiting_films() == [film]
    monkeypatch.undo()
    spool.keep_results(film, RESULTS)
    assert len(spool.waiting_results()) == 1


def test_the_second_node_on_one_spool_is_refused(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MODEL)
    with pytest.raises(InputError, match="Another node uses the spool folder"):
        Spool(tmp_path, MODEL)
    spool.close()
    Spool(tmp_path, MODEL).close()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Cannot use the spool folder"):
        Spool(tmp_path / "file", MODEL)


def test_quarantine_holds_the_film_and_the_reason(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MODEL)
    film = keep_film(spool, FILM, "1.2.3")
    assert film is not None
    spool.begin(film)
    spool.quarantine(film, {"error": {"type": "UnsupportedFilm"}})
    assert names(tmp_path / "incoming") == []
    assert names(tmp_path / "quarantine") == [film.name, f"{film.stem}.json"]
    assert json.loads((tmp_path / "quarantine" / f"{film.stem}.json").read_text())["error"]["type"] == "UnsupportedFilm"
    assert keep_film(spool, FILM, "1.2.3") == film  # it may be tried again


def test_a_film_on_which_the_process_ended_waits_behind_the_others(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MODEL)
    first, second = keep_film(spool, FILM, "1.2.3"), keep_film(spool, FILM, "1.2.4")
    assert first is not None
    assert spool.waiting_films() == [first, second]
    assert [spool.begin(first), spool.begin(first)] == [0, 1]
    assert spool.waiting_films() == [second, first]
    spool.end(first)
    assert spool.begin(first) == 0


ENDING = """
import os, pathlib, shutil, sys
from hilum.serve.spool import Spool
folder, left = pathlib.Path(sys.argv[1]), int(sys.argv[2])
def counted(function):
    def call(*arguments, **words):
        global left
        left -= 1
        if left < 0:
            os._exit(9)  # as kill -9 would: no clean-up runs
        return function(*arguments, **words)
    return call
spool = Spool(folder, "a" * 64)
os.fsync, os.unlink, os.rename = counted(os.fsync), counted(os.unlink), counted(os.rename)
for name in ("rename", "unlink"):
    setattr(pathlib.Path, name, counted(getattr(pathlib.Path, name)))
shutil.rmtree = counted(shutil.rmtree)
arrival = spool.receive()
arrival.begin(b"film")
film = spool.keep(arrival, "1.2.3") or sys.exit(0)
print("kept", flush=True)
spool.begin(film)
results = spool.keep_results(film, {"report.dcm": b"report"})
spool.drop_film(film)
spool.finish(results)
print("sent", flush=True)
"""


@pytest.mark.slow
def test_whatever_step_a_kill_cuts_off_the_film_or_its_results_are_there(tmp_path: Path) -> None:
    num_kills = 0
    for step in range(40):
        folder = tmp_path / str(step)
        done = subprocess.run(
            [sys.executable, "-c", ENDING, folder, str(step)], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode in (0, 9), done.stderr
        num_kills += done.returncode == 9
        spool = Spool(folder, MODEL)
        films, results = spool.waiting_films(), spool.waiting_results()
        assert not [
            name for part in ("incoming", "outgoing", "sent") for name in names(folder / part) if "part" in name
        ]
        for one in results:
            assert (one / "report.dcm").read_bytes() == b"report"
        for one in films:
            assert one.read_bytes() == b"film"
        sent = names(folder / "sent")
        if "kept" in done.stdout:
            assert films or results or sent
        if "sent" in done.stdout:
            assert not films
            assert not results
            assert len(sent) == 1
        spool.close()
        if done.returncode == 0:
            break
    assert num_kills >= 10


def test_what_another_thread_removes_meanwhile_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path / "spool", "ab" * 32)
    gone = [spool.folder / "incoming" / "1.dcm", spool.folder / "outgoing" / "1"]
    monkeypatch.setattr(Path, "glob", lambda *_: gone[:1])
    monkeypatch.setattr(Path, "iterdir", lambda *_: gone[1:])
    assert [*spool.waiting_films(), *spool.waiting_results()] == gone
