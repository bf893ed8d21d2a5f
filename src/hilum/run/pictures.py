"""Pictures that `predict` leaves beside its answers, each under a name of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hilum.errors import InputError
from hilum.film.decode import read_film
from hilum.run.answer import Answer
from hilum.run.classifier import Classifier
from hilum.run.heatmap import free_path, overlay, write_png
from hilum.run.lungs import lung_mask

__all__ = ["Pictures"]


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
        write_png(path, overlay(self._classifier.read_for_display(film), evidence, part=answer.part))
        return dataclasses.replace(answer, heatmap=str(path))
