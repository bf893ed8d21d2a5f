"""A classifier in Python: it takes one film or many, in any form, and keeps their order."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from hilum.api.answers import Answers, FilmAnswer
from hilum.api.places import AnyPath
from hilum.data.filmlist import check_paths, list_films
from hilum.data.table import TABLE_SUFFIXES
from hilum.errors import InputError
from hilum.film.given import Film, ValueRange
from hilum.run.answer import UnreadFilm
from hilum.run.classifier import Classifier, judge_films
from hilum.run.models import DEFAULT_MODEL

__all__ = ["ONE_FILM", "FilmClassifier", "each_film", "is_several", "load", "without_file"]


def load(model: AnyPath = DEFAULT_MODEL, *, num_threads: int | None = None) -> FilmClassifier:
    """Return the classifier in a model file; neither Keras nor TensorFlow is imported.

    Args:
        model: A ``model.onnx`` made by `hilum.train`, the folder of its run, or the name of a model that ships with
            hilum.
        num_threads: Threads of the engine; all cores by default.

    Raises:
        ModelFileError: The file cannot be used; the message says why.
        InputError: What was given is no path.

    Example:
        >>> model = hilum.load("run/model.onnx")  # doctest: +SKIP
        >>> model.predict("film.png").probabilities  # doctest: +SKIP
        {'Normal': 0.93, 'Covid-19': 0.02, 'Viral Pneumonia': 0.05}
    """
    if not isinstance(model, str | os.PathLike):
        raise InputError(
            f"Cannot load a model from a `{type(model).__name__}`; expected a path, or the name of a model that ships.",
            fix="Give the path of a model.onnx.",
        )
    return FilmClassifier(Path(model), num_threads=num_threads)


class FilmClassifier(Classifier):
    """A trained model, ready to judge films. `hilum.load` returns it."""

    def predict(  # type: ignore[override]  # one film has one answer, as there; several have several
        self, films: Film | Iterable[Film], *, value_range: ValueRange | None = None
    ) -> FilmAnswer | Answers:
        """Judge one film or several.

        Args:
            films: One film: a path (str or Path); the bytes of a PNG, JPEG or DICOM file, or such a file opened in
                binary mode; an array (H, W), bone bright, of uint8, uint16 or float from 0 to 1; a PIL image; or a film
                that is already decoded. Several films: a folder, which is read recursively; a CSV file with a column of
                paths or a .txt file with a path a line; or a list or iterator of any of these. Several films are judged
                at a time, and memory does not grow with the films of an iterator beyond their answers.
            value_range: The values of black and of white, for arrays with other values: ``(0, 4095)`` for 12 bits in
                uint16, ``(-1024, 1024)`` for films normalised so. ``(1, 0)`` says that bone is dark.

        Returns:
            The answer for one film; of several films `Answers`, in their order. For a refused film ``finding`` is None
            and ``reasons`` say why.

        Raises:
            UndecodableFilm, UnsupportedFilm: The one film cannot be read. Of several, it has an `UnreadFilm` instead.
            InputError: The argument has another type, shape or range.
        """
        films = without_file(films)
        if isinstance(films, str | os.PathLike) and is_several(films):
            check_paths([Path(films)])
            return self._answers(list_films([Path(films)]), value_range, is_kept=True)
        if isinstance(films, Iterable) and not isinstance(films, ONE_FILM):
            return self._answers(each_film(films), value_range, is_kept=isinstance(films, list | tuple))
        return FilmAnswer.of(super().predict(films, value_range=value_range), films, value_range)

    def embed(self, films: Film | Iterable[Film], *, value_range: ValueRange | None = None) -> np.ndarray:
        """Return the features of films: the values of the layer before the logits.

        Args:
            films: As in `predict`.
            value_range: As in `predict`.

        Returns:
            (D,) float32 of one film, (n, D) of several, in their order; NaN for a film that cannot be read.

        Raises:
            UndecodableFilm, UnsupportedFilm, InputError: As in `predict`.
        """
        found = self.predict(films, value_range=value_range)
        if isinstance(found, FilmAnswer):
            return np.asarray(found.features)
        known = [one.features for one in found if isinstance(one, FilmAnswer) and one.features is not None]
        num_features = len(known[0]) if known else 0
        rows = np.full((len(found), num_features), np.nan, np.float32)  # (n, D)
        for row, one in zip(rows, found, strict=True):
            if isinstance(one, FilmAnswer):
                row[:] = one.features
        return rows

    def _answers(self, films: Iterable[Film], value_range: ValueRange | None, *, is_kept: bool) -> Answers:
        """Return the answers; films in memory are kept with them only where the caller holds them anyway."""
        taken: list[Film | None] = []

        def noted() -> Iterator[Film]:
            for film in films:
                taken.append(film if is_kept or isinstance(film, Path) else None)
                yield film

        judged = enumerate(judge_films(self, noted(), value_range=value_range))
        return Answers(
            one if isinstance(one, UnreadFilm) else FilmAnswer.of(one, taken[place], value_range)
            for place, one in judged
        )


ONE_FILM = (bytes, bytearray, memoryview, np.ndarray, str, os.PathLike)


def is_several(path: AnyPath) -> bool:
    """Return whether a path stands for several films: a folder or a list."""
    place = Path(path)
    return bool(os.fspath(path)) and (place.is_dir() or (place.suffix.lower() in TABLE_SUFFIXES and place.is_file()))


def without_file(film: Film | Iterable[Film]) -> Film | Iterable[Film]:
    """Return the bytes of an open file; anything else unchanged.

    Raises:
        InputError: The file was opened for text.
    """
    read = getattr(film, "read", None)
    if not callable(read):
        return film
    try:
        data = read()
    except UnicodeDecodeError:
        data = ""
    if not isinstance(data, bytes):
        raise InputError("Cannot read a film from a file opened for text.", fix='Open it with mode "rb".')
    return data


def each_film(films: Iterable[Film]) -> Iterator[Film]:
    """Yield each film, those of a folder or a list one by one."""
    for film in films:
        if not isinstance(film, str | os.PathLike):
            yield without_file(film)
        elif is_several(film):
            yield from list_films([Path(film)])
        else:
            yield Path(film) if os.fspath(film) else film  # Path("") would be the working folder
