"""Lists the folders inside a folder of a data set."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hilum.data.names import is_neutral, parts_in
from hilum.data.walk import is_inside, list_folder
from hilum.errors import InconsistentDataset

__all__ = ["Look", "folders_in"]


@dataclass(frozen=True)
class Look:
    """The folders inside one folder, and whether it directly holds files that may be films."""

    folders: tuple[str, ...]
    has_films: bool

    @property
    def parts(self) -> dict[str, str]:
        return parts_in(self.folders)

    @property
    def classes(self) -> tuple[str, ...]:
        """The folders whose names allow them to be class folders."""
        return tuple(name for name in self.folders if name not in self.parts and not is_neutral(name))


def folders_in(folder: Path, root: Path | None = None) -> list[str]:
    """Return the sorted names of a folder's sub-folders; with a root, links into the data set are an error."""
    names, folders, links = list_folder(str(folder))
    if root is None:
        return [name for name in names if name in folders]
    found, real_root = [], os.path.realpath(root)
    for name in (name for name in names if name in folders):
        target = os.path.realpath(folder / name) if name in links else ""
        if target and is_inside(real_root, target):
            continue  # a link to the data set itself or above it
        if target and is_inside(target, real_root):
            raise InconsistentDataset(
                f"The folder `{folder / name}` is a link into the same data set, so its films would count twice.",
                fix="Remove the link.",
            )
        found.append(name)
    return found
