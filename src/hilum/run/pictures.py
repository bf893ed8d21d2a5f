"""Pictures that `predict` leaves beside its answers, each under a name of its own."""

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
    """Refuse a folder in which a picture would take the place of anything but a picture that may be replaced.

    Costs a look at each film's picture where the folder has any files; nothing is kept of them.

    Args:
        folder: For the pictures; it need not exist.
        films: All films of the run.
        read_folders: Folders that the run reads: pictures in them would be films to the next run.
        option: What names the folder on the command line.
        may_replace: Whether pictures of an earlier run may be replaced.
        answers: The file that the answers go to; None where there is none.

    Raises:
        InputError: The folder may not be used; nothing in it was touched.
    """
    fix = f"Name another folder: {option} DIR"
    if os.path.lexists(folder) and not folder.is_dir():
        raise InputError(f"Cannot write pictures into `{folder}`: it is a file.", fix=fix)
    if answers is not None and answers.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise InputError(f"Cannot write pictures into `{folder}`: the answers go to `{answers}`.", fix=fix)
    for read in read_folders:
        if is_in_folder(folder, read):
            raise InputError(
                f"Cannot write pictures into `{folder}`: it lies in `{read}`, whose films are read; pictures would be "
                "taken for films.",
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
            raise InputError(f"`{path}` is there and is no picture that hilum drew; it was not touched.", fix=fix)
        if not may_replace:
            raise InputError(
                f"`{path}` is a picture of an earlier run; it was not touched.",
                fix=f"Add --overwrite to replace pictures, or name another folder: {option} DIR",
            )


class Pictures:
    """The pictures of one run. Names follow from the films in their order, so that a run that goes on repeats none.

    Args:
        classifier: The model.
        heatmaps: The folder for heat maps, made where it does not exist; None for none.
        lungs: The folder for masks of the lungs, as large as the films; likewise.

    Raises:
        InputError: Both are the same folder.
        OSError: A folder cannot be made.
    """

    def __init__(self, classifier: Classifier, heatmaps: Path | None, lungs: Path | None = None) -> None:
        if heatmaps is not None and lungs is not None and heatmaps.resolve() == lungs.resolve():
            raise InputError(f"Heat maps and lungs cannot both go to `{lungs}`.", fix="Name two folders.")
        self._classifier, self._heatmaps, self._lungs = classifier, heatmaps, lungs
        self._taken, self._taken_masks = set[str](), set[str]()
        for folder in (heatmaps, lungs):
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)

    def pass_by(self, answer: Mapping[str, Any]) -> None:
        """Take the names of a film whose pictures an earlier run has written; its JSON object is given."""
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
            mask = lung_mask(read_film(film)).astype(np.uint8)  # (H, W) of the film in full
            write_png(free_path(self._lungs, answer.file, self._taken_masks), mask * 255)
        if self._heatmaps is None:
            return answer
        path = free_path(self._heatmaps, answer.file, self._taken)
        evidence = answer.activation[self._classifier.findings.index(answer.likeliest)]
        write_png(path, overlay(self._classifier.read_for_display(film), evidence))
        return dataclasses.replace(answer, heatmap=str(path))
