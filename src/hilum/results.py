"""Output files and folders: hilum never overwrites a file of the user.

An existing file is replaced only if its content shows that an earlier run of the same command made it, and if the user
asked for this. Links, devices, films, models and other files are refused before the first film is read.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hilum.errors import InputError
from hilum.files import replace_file

__all__ = ["ResultFolder", "check_file", "is_in_folder", "is_same_file", "json_with"]

_LARGEST_JSON = 256 * 2**20


def check_file(
    out: Path,
    *,
    made_by: str,
    is_own: Callable[[Path], bool],
    may_replace: bool,
    reads: Iterable[Path] = (),
    resumes: bool = False,
) -> None:
    """Check that an output file may be written; change nothing.

    Args:
        out: The file; it need not exist.
        made_by: The command whose earlier file may be replaced, such as "hilum predict".
        is_own: Returns whether this command made a file, from its content.
        may_replace: Whether the user asked to replace such a file.
        reads: Files that this run reads; they are never replaced.
        resumes: Whether the command has --resume, for the message.

    Raises:
        InputError: The file may not be written.
    """
    fix = "Name another file."
    try:
        mode = os.lstat(out).st_mode
    except FileNotFoundError:
        if not os.path.isdir(out.parent):  # noqa: PTH112 - answers False to every OSError
            raise InputError(
                f"Cannot write `{out}`: its folder does not exist.", fix="Make the folder first."
            ) from None
        return
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot write `{out}`: {getattr(error, 'strerror', error)}.", fix=fix) from error
    if stat.S_ISDIR(mode):
        raise InputError(f"Cannot write `{out}`: it is a folder.", fix="Name a file.")
    if stat.S_ISLNK(mode):
        raise InputError(f"Cannot write `{out}`: it is a link, and hilum does not follow links.", fix=fix)
    if not stat.S_ISREG(mode):
        raise InputError(f"Cannot write `{out}`: it is not a regular file.", fix=fix)
    if any(is_same_file(out, read) for read in reads):
        raise InputError(f"Cannot write `{out}`: this command reads it.", fix=fix)
    if not _holds(out, is_own):
        raise InputError(f"`{out}` exists and was not made by `{made_by}`. It was not changed.", fix=fix)
    if not may_replace:
        raise InputError(
            f"`{out}` was finished by an earlier `{made_by}`. It was not changed.",
            fix="Add --overwrite to replace it, "
            f"{'--resume if this is the same command, ' if resumes else ''}or name another file.",
        )


@dataclass(frozen=True)
class ResultFolder:
    """The output folder of a command: which files it may hold, and how hilum recognises it.

    Attributes:
        of: The result, as in "The audit's folder".
        finished: What a finished folder holds, as in "an earlier audit".
        files: The names of files and folders that the command may write.
        marks: JSON file to its keys; one such file shows that the command made the folder.
        last: The file that is written last. If it is empty, any of `files` means that the results are finished.
        others: Files of other commands; a folder that holds one is always refused.
        is_alone: Whether the folder must hold nothing else when the command begins.
        shared: Folder in `files` in which the user may keep other files -> pattern of the command's own files.
        costly: Patterns of files that took long to make. Unfinished work of other films or settings is replaced
            without --overwrite only if `costly` is given and no file matches.
    """

    of: str
    finished: str
    files: tuple[str, ...]
    marks: Mapping[str, frozenset[str]]
    last: str = ""
    others: tuple[str, ...] = ()
    is_alone: bool = False
    shared: Mapping[str, str] = field(default_factory=dict)
    costly: tuple[str, ...] = ()

    def check(self, out: Path, *, overwrite: bool, data: Path | None = None, reads: Iterable[Path] = ()) -> None:
        """Check that a folder may be written into; change nothing.

        Args:
            out: The folder; it need not exist.
            overwrite: Whether finished results of this command may be replaced.
            data: The data set, a folder or a list. It must not hold the output folder.
            reads: Other files and folders that this run reads; they are never replaced.

        Raises:
            InputError: The folder may not be used.
        """
        fix = "Choose another folder."
        if os.path.lexists(out) and not os.path.isdir(out):  # noqa: PTH112
            raise InputError(f"Cannot make the folder `{out}` for the {self.of}: it is a file.", fix=fix)
        for read in (*([] if data is None else [data]), *reads):
            if is_in_folder(out, read):
                raise InputError(
                    f"The {self.of}'s folder `{out}` lies in the data folder `{read}`, so its files would be read as "
                    "data.",
                    fix="Choose another folder for --out.",
                )
            for name in self.present(out, self.files):
                if is_same_file(out / name, read):
                    raise InputError(f"Cannot write `{out / name}`: this command reads it.", fix=fix)
        if self.present(out, self.others):
            raise InputError(
                f"`{out}` holds a run, an evaluation or results of another command. It was not changed.", fix=fix
            )
        self._check_content(out, overwrite=overwrite)

    def _check_content(self, out: Path, *, overwrite: bool) -> None:
        fix = "Choose another folder."
        there = [name for name in self.present(out, self.files) if not _is_empty_folder(out / name)]
        is_own = self.is_own(out)
        if self.is_alone and not is_own and os.path.isdir(out) and any(one != out / ".work" for one in out.rglob("*")):  # noqa: PTH112
            raise InputError(
                f"`{out}` is not empty and holds no {self.of} made by hilum. Nothing in it was changed.", fix=fix
            )
        if not overwrite and there and (not self.last or self.last in there):
            raise InputError(
                f"`{out}` holds {self.finished}. Nothing in it was changed.",
                fix="Choose another folder, or add --overwrite.",
            )
        for name in there:
            if (out / name).is_symlink():
                raise InputError(
                    f"Cannot write `{out / name}`: it is a link, and hilum does not follow links.", fix=fix
                )
        if there and not is_own:
            raise InputError(
                f"`{out}` holds `{there[0]}`, which was not made by an earlier {self.of}. It was not changed.", fix=fix
            )

    def begin(self, out: Path, identity: Mapping[str, object], *, overwrite: bool) -> bool:
        """Start the work of a command in its folder, or continue unfinished work. Call `check` before.

        Args:
            out: The folder; it is made if it does not exist.
            identity: All films and settings that decide the results, as JSON, with the keys of the mark in `.work`.
            overwrite: Whether unfinished work is replaced.

        Returns:
            Whether there is unfinished work to continue.

        Raises:
            InputError: The folder holds unfinished work of other films or settings.
        """
        marker = out / next(name for name in self.marks if name.startswith(".work/"))
        if marker.exists() and not overwrite:
            if json.loads(marker.read_text(encoding="utf-8")) == json.loads(json.dumps(identity)):
                return True
            if not self.costly or any(found for pattern in self.costly for found in out.glob(pattern)):
                raise InputError(
                    f"`{out}` holds an unfinished {self.of} of other films or settings.",
                    fix="Repeat its own command to continue it, or add --overwrite to start again.",
                )
        if self.is_alone:
            self.remove(out)
        shutil.rmtree(marker.parent, ignore_errors=True)
        marker.parent.mkdir(parents=True)
        replace_file(marker, json.dumps(identity))
        return False

    def finish(self, out: Path) -> None:
        """Remove the folder `.work`, which is only needed to continue unfinished work."""
        shutil.rmtree(out / ".work")

    def remove(self, out: Path) -> None:
        """Remove the command's own files from a folder, the marks last."""
        marks = {name.partition("/")[0] for name in self.marks}
        for name in sorted(self.files, key=lambda name: name in marks):
            path = out / name
            if name in self.shared and path.is_dir() and not path.is_symlink():
                for own in path.glob(self.shared[name]):
                    own.unlink()
                if _is_empty_folder(path):
                    path.rmdir()
            elif path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif name not in self.shared:
                path.unlink(missing_ok=True)

    def is_own(self, out: Path) -> bool:
        """Return whether a folder holds results of this command, finished or not."""
        return any(json_with(out / name, keys) for name, keys in self.marks.items())

    @staticmethod
    def present(out: Path, names: Iterable[str]) -> list[str]:
        """Return which of the names exist in a folder, broken links included."""
        return [name for name in names if os.path.lexists(out / name)]


def json_with(path: Path, keys: Iterable[str]) -> bool:
    """Return whether a file holds a JSON object with these keys."""
    try:
        if path.is_symlink() or path.stat().st_size > _LARGEST_JSON:
            return False
        content = json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.keys() >= set(keys)


def is_same_file(one: Path, two: Path) -> bool:
    """Return whether two paths lead to the same file, also by links or another spelling."""
    try:
        return one.samefile(two)
    except (OSError, ValueError):
        return False


def is_in_folder(path: Path, folder: Path) -> bool:
    """Return whether a path is a folder or lies in it, also by links or another spelling. It need not exist."""
    if not os.path.isdir(folder):  # noqa: PTH112
        return False
    real = Path(os.path.realpath(path))
    return any(is_same_file(place, folder) for place in (real, *real.parents))


def _is_empty_folder(path: Path) -> bool:
    return not path.is_symlink() and path.is_dir() and not any(path.iterdir())


def _holds(path: Path, is_own: Callable[[Path], bool]) -> bool:
    try:
        return is_own(path)
    except (OSError, ValueError):
        return False
