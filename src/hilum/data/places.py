"""Finds the films of a list, also when its paths were written on another computer; and writes their paths in a list.

Addresses such as ``file:///data/x.png`` are paths. Backslashes are separators unless a file has them in its name. The
common beginning of absolute paths from another computer is replaced by the list's own folder. A name without folder or
suffix, or in another case, is accepted if exactly one file matches it.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote

from hilum.data.labels import Remark
from hilum.data.table import cell_text
from hilum.data.walk import is_inside
from hilum.errors import InconsistentDataset

__all__ = ["can_be_listed", "local_path", "path_writer", "place_films", "without_scheme"]

_DRIVE = re.compile(r"[A-Za-z]:[/\\]|[/\\]{2}[^/\\]")
_ADDRESS = re.compile(r"file:(?://(?P<host>[^/\\]*)(?=[/\\]))?(?P<path>.+)", re.IGNORECASE)


def local_path(folder: str, cell: str) -> str:
    """Return a path of a list with "/" as separator and in the encoding of the existing file.

    Args:
        folder: The folder that the path is relative to.
        cell: The path as written in the list.
    """
    cell = without_scheme(cell)
    variants = [cell]
    if "\\" in cell and os.sep == "/":
        variants.append(cell.replace("\\", "/"))
    variants += [text for one in variants if (text := cell_text(one)) != one]
    if len(variants) == 1:
        return cell
    there = (one for one in variants if os.path.lexists(os.path.join(folder, one)))  # noqa: PTH118
    return next(there, cell_text(variants[-1]) if "\\" in cell else cell)


def without_scheme(cell: str) -> str:
    """Return the path in a ``file:`` address; any other text unchanged.

    Example:
        >>> without_scheme("file:///data/my%20film.png"), without_scheme("file:///C:/x.png"), without_scheme("x.png")
        ('/data/my film.png', 'C:/x.png', 'x.png')

    Source: RFC 8089, the forms of its appendices included.
    """
    found = _ADDRESS.fullmatch(cell)
    if not found:
        return cell
    path, host = unquote(found["path"], errors="surrogateescape"), unquote(found["host"] or "")
    path = re.sub(r"^[/\\]+(?=[A-Za-z][:|][/\\])", "", path)
    path = re.sub(r"^([A-Za-z])\|", r"\1:", path)
    if host and host.lower() not in ("localhost", "."):
        path = f"{host}{path}" if re.fullmatch(r"[A-Za-z]:", host) else f"//{host}{path}"
    return cell if "\0" in path else path


def place_films(manifest: Path, cells: Sequence[str], lines: Sequence[int]) -> tuple[str, list[str], list[Remark]]:
    """Return the folder that films are relative to, their paths in it with "/" as separator, and remarks.

    Args:
        manifest: The list.
        cells: The path of each film as written in the list.
        lines: The line number of each film.

    Raises:
        InconsistentDataset: A film does not exist or is outside the folder.
    """
    root = os.path.abspath(manifest.parent)  # noqa: PTH100 - lexical, as links may lead out of the folder
    named = [local_path(root, cell) for cell in cells]
    remarks: list[Remark] = []
    if named and all(map(_is_absolute, named)):
        if any(map(os.path.lexists, named[:100])) or not (shortened := _from_elsewhere(root, named)):
            common = os.path.commonpath([os.path.dirname(os.path.normpath(path)) for path in named])  # noqa: PTH120
            root = root if is_inside(common, root) or not os.path.isabs(common) else common  # noqa: PTH117
        else:
            start, named = shortened
            remarks.append(
                Remark(
                    "columns",
                    f"The paths in the list begin with `{start}`, which does not exist on this computer. The "
                    "list's own folder is used instead.",
                )
            )
    places = [_place_in(root, cell, f"Line {line} of `{manifest}`") for cell, line in zip(named, lines, strict=True)]
    missing = [place for place in places if not os.path.lexists(os.path.join(root, place))]  # noqa: PTH118
    if missing:
        found = _found_by_name(root, missing)
        lost = [place for place in missing if place not in found]
        if lost:
            raise InconsistentDataset(
                f"{len(lost)} of the {len(places)} films in `{manifest}` do not exist; the first is `{lost[0]}`. "
                f"Expected paths relative to `{root}`.",
                fix="Correct the paths, or move the manifest to the folder of the films.",
            )
        places = [found.get(place, place) for place in places]
        remarks.append(
            Remark(
                "columns",
                f"{len(missing):,} film{'s were' if len(missing) > 1 else ' was'} found by name: "
                f"`{missing[0]}` is read as `{found[missing[0]]}`.",
            )
        )
    return root, places, remarks


def _is_absolute(path: str) -> bool:
    return os.path.isabs(path) or bool(_DRIVE.match(path))  # noqa: PTH117


def _from_elsewhere(root: str, named: Sequence[str]) -> tuple[str, list[str]] | None:
    """Return the common beginning of all paths and what follows it, if a film exists there in the list's folder."""
    parts = [path.split("/") for path in named]
    for number in range(1, min(map(len, parts))):
        start = parts[0][:number]
        if any(one[:number] != start for one in parts):
            return None
        if os.path.lexists(os.path.join(root, *parts[0][number:])):  # noqa: PTH118
            return "/".join(start) + "/", ["/".join(one[number:]) for one in parts]
    return None


def _place_in(root: str, cell: str, where: str) -> str:
    if not cell or "\0" in cell:
        raise InconsistentDataset(f"{where} gives no path.", fix="Fill in the path, or remove the line.")
    path = os.path.normpath(os.path.join(root, cell))  # noqa: PTH118
    if path == root or not is_inside(path, root):
        raise InconsistentDataset(
            f"{where} names the film `{cell}`, which is outside the manifest's folder.",
            fix="Move the manifest to a folder that holds all films, or make every path absolute.",
        )
    return Path(os.path.relpath(path, root)).as_posix()


def _found_by_name(root: str, missing: Sequence[str]) -> dict[str, str]:
    """Return {path in the list: file} of the films whose name matches exactly one file."""
    wanted = {_bare(place) for place in missing}
    files: defaultdict[str, list[str]] = defaultdict(list)
    for folder, _, names in os.walk(root):
        for name in names:
            if _bare(name) in wanted or name.lower() in wanted:
                place = Path(os.path.relpath(os.path.join(folder, name), root)).as_posix()  # noqa: PTH118
                files[_bare(name)].append(place)
                if name.lower() != _bare(name):
                    files[name.lower()].append(place)
    found = {}
    for place in missing:
        fitting = [file for file in files[place.rpartition("/")[2].lower()] if _fits(place, file, with_suffix=True)]
        fitting = fitting or [file for file in files[_bare(place)] if _fits(place, file, with_suffix=False)]
        if len(fitting) == 1:
            found[place] = fitting[0]
    return found


def _bare(place: str) -> str:
    """Return a file's name in lower case without the suffix of a film."""
    name = place.rpartition("/")[2].lower()
    return re.sub(r"\.(?:png|jpe?g|dcm|dicom)$", "", name)


def _fits(place: str, file: str, *, with_suffix: bool) -> bool:
    """Return whether a file's path ends with ``place``, ignoring case (and the suffix, if ``place`` has none)."""
    wanted, there = place.lower(), file.lower()
    if not with_suffix:
        if _bare(wanted) != wanted.rpartition("/")[2]:
            return False  # a file with another suffix is another film
        there = there.rpartition("/")[0] + "/" + _bare(there) if "/" in there else _bare(there)
    return there == wanted or there.endswith(f"/{wanted}")


def path_writer(root: Path, folder: Path) -> Callable[[str], str]:
    """Return a function from a film's path in its data set to its path in a list.

    Args:
        root: The folder that the data set's paths are relative to.
        folder: The folder of the list. If it lies above the films, paths are relative to it, else absolute.
    """
    top, here = os.path.abspath(root), os.path.abspath(folder)  # noqa: PTH100
    is_above = is_inside(top, here)

    def place(path: str) -> str:
        whole = os.path.join(top, path)  # noqa: PTH118
        return Path(os.path.relpath(whole, here)).as_posix() if is_above else whole

    return place


def can_be_listed(path: str) -> bool:
    """Return whether a path comes back from a CSV: one that is no text, or has spaces at its ends, does not."""
    return path == path.strip() and path.encode("utf-8", "replace") == path.encode("utf-8", "surrogateescape")
