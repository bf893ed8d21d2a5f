"""The folders in a folder of a data set, each once, and what the first look into one shows."""

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
    """One folder, looked into: its folders, and whether files that may be films lie in it directly."""

    folders: tuple[str, ...]
    has_films: bool

    @property
    def parts(self) -> dict[str, str]:
        return parts_in(self.folders)

    @property
    def classes(self) -> tuple[str, ...]:
        """The folders that may be class folders by their names."""
        return tuple(name for name in self.folders if name not in self.parts and not is_neutral(name))


def folders_in(folder: Path, root: Path | None = None) -> list[str]:
    """Return the sorted names of a folder's sub-folders; with a root, without loops and with no film counted twice."""
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
                f"The folder `{folder / name}` is a link into the same data set: its films would count twice.",
                fix="Remove the link.",
            )
        found.append(name)
    return found
