"""Safe writing: the old file or the new one, never half of one, and nothing left beside them."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hilum.errors import InputError
from hilum.files import replace_array, replace_file, replace_files, replacing, writing_into


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KB."""
    folder = tmp_path / "small"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(words, capture_output=True, check=False).returncode
    except OSError:
        done = 1
    if done:
        pytest.skip("this user may mount no file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_the_new_content_or_the_old(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    replace_file(path, "one é")
    replace_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o644
    with pytest.raises(KeyboardInterrupt), replacing(path) as partial:
        partial.write_bytes(b"thr")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"two"
    assert [one.name for one in tmp_path.iterdir()] == ["a.txt"]


def test_a_name_as_long_as_names_may_be(tmp_path: Path) -> None:
    replace_file(tmp_path / ("x" * 255), "a")
    assert (tmp_path / ("x" * 255)).read_text() == "a"


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    replace_file(tmp_path / "link", "new")
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_full_disk_leaves_everything_as_it_was(small_disk: Path) -> None:
    old = small_disk / "old"
    replace_file(old, b"old")
    with pytest.raises(InputError, match="No space left on device"):
        replace_file(old, bytes(200_000))
    with pytest.raises(InputError, match="No space left on device"):
        replace_files({old: b"new", small_disk / "b": bytes(30_000), small_disk / "c": bytes(60_000)})
    with pytest.raises(InputError, match="No space left on device"):
        replace_array(small_disk / "d.npy", np.zeros(100_000))
    assert [path.name for path in small_disk.iterdir()] == ["old"]
    assert old.read_bytes() == b"old"


def test_files_that_belong_together_take_their_names_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named: list[str] = []
    replace = Path.replace

    def noted(partial: Path, path: Path) -> Path:
        named.append(path.name)
        return replace(partial, path)

    monkeypatch.setattr(Path, "replace", noted)
    replace_files({tmp_path / name: name for name in "abc"})
    assert named == ["a", "b", "c"]
    assert [(tmp_path / name).read_text() for name in "abc"] == ["a", "b", "c"]


def test_an_error_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"Cannot write `.*b.txt`: No space left on device"):
        replace_file(tmp_path / "b.txt", "b")
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_is_ended_leaves_no_half_file(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time; from pathlib import Path; from hilum.files import replacing\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        "with replacing(Path(sys.argv[1])) as partial:\n"
        "    partial.write_bytes(b'half'); print('ready', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, tmp_path / "a"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        assert process.wait(30) == 143
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("continues", [False, True])
def test_an_error_of_the_file_system_says_where_and_what_to_do(tmp_path: Path, continues: bool) -> None:
    with pytest.raises(InputError) as caught, writing_into(tmp_path, continues=continues):
        (tmp_path / "no-folder" / "file").write_text("")
    assert caught.value.message == f"Cannot write into `{tmp_path}`: No such file or directory."
    assert ("continues where it stopped" in caught.value.fix) is continues
