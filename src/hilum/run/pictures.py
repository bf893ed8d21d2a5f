"""The pictures of `predict`: heat maps and lung masks, each with a name of its own."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hilum.errors import InputError
from hilum.film.decode import read_film
from hilum.results import is_in_folder
from hilum.run.answer import Answer
from hilum.run.classifier import Classifier
from hilum.run.heatmap import free_path, is_own_picture, overlay, write_png
from hilum.run.lungs import lung_mask

__all__ = ["Pictures", "check_pictures"]


def check_pictures(
    folder: Path,
    films: Iterable[Path],
    *,
    read_folders: Iterable[Path],
    option: str,
    may_replace: bool,
    answers: Path | None = None,
) -> None:
    """Refuse a folder in which a picture would replace another file. Nothing is written.

    Args:
        folder: The folder for pictures; it need not exist.
        films: All films of the run.
        read_folders: Folders that the run reads; the next run would read pictures in them as films.
        option: The command-line option for the folder.
        may_replace: Whether pictures of an earlier run may be replaced.
        answers: The file for the answers, if any.

    Raises:
        InputError: The folder may not be used.
    """
    fix = f"Name another folder: {option} DIR"
    if os.path.lexists(folder) and not folder.is_dir():
        raise InputError(f"Cannot write pictures into `{folder}`: it is a file.", fix=fix)
    if answers is not None and answers.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise InputError(f"Cannot write pictures into `{folder}`: the answers go to `{answers}`.", fix=fix)
    for read in read_folders:
        if is_in_folder(folder, read):
            raise InputError(
                f"Cannot write pictures into `{folder}`: it lies in the film folder `{read}`, and the next run would "
                "read the pictures as films.",
                fix=fix,
            )
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    taken = set[str]()
    for film in films:
        path = free_path(folder, str(film), taken)
        if not os.path.lexists(path):
            continue
        try:
            is_own = is_own_picture(path)
        except OSError:
            is_own = False
        if not is_own:
            raise InputError(f"`{path}` exists and is not a picture made by hilum. It was not changed.", fix=fix)
        if not may_replace:
            raise InputError(
                f"`{path}` is a picture of an earlier run. It was not changed.",
                fix=f"Add --overwrite to replace pictures, or name another folder: {option} DIR",
            )


class Pictures:
    """The pictures of one run. Their names depend only on the films and their order.

    Args:
        classifier: The model.
        heatmaps: The folder for heat maps, made if it does not exist; None for no heat maps.
        lungs: The folder for lung masks, which are as large as the films; None for no masks.

    Raises:
        InputError: Both are the same folder.
        OSError: A folder cannot be made.
    """

    def __init__(self, classifier: Classifier, heatmaps: Path | None, lungs: Path | None = None) -> None:
        if heatmaps is not None and lungs is not None and heatmaps.resolve() == lungs.resolve():
            raise InputError(f"Heat maps and lung masks cannot both go to `{lungs}`.", fix="Name two folders.")
        self._classifier, self._heatmaps, self._lungs = classifier, heatmaps, lungs
        self._taken, self._taken_masks = set[str](), set[str]()
        for folder in (heatmaps, lungs):
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)

    def pass_by(self, answer: Mapping[str, Any]) -> None:
        """Reserve the picture names of a film that an earlier run has judged, from its JSON object."""
        for folder, taken in ((self._heatmaps, self._taken), (self._lungs, self._taken_masks)):
            if folder is not None and "error" not in answer:
                free_path(folder, answer["file"], taken)

    def write(self, answer: Answer) -> Answer:
        """Write the pictures of a film; return its answer with their paths.

        Raises:
            InputError: A picture cannot be written.
        """
        film = Path(answer.file)
        if self._lungs is not None:
            mask = lung_mask(read_film(film)).astype(np.uint8)  # (H, W) of the full film
            write_png(free_path(self._lungs, answer.file, self._taken_masks), mask * 255)
        if self._heatmaps is None:
            return answer
        path = free_path(self._heatmaps, answer.file, self._taken)
        evidence = answer.activation[self._classifier.findings.index(answer.likeliest)]
        write_png(path, overlay(self._classifier.read_for_display(film), evidence))
        return dataclasses.replace(answer, heatmap=str(path))
