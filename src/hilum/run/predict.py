"""Judging the films a person names: from paths to answers in a format, with heat maps beside them."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from hilum.console import Console
from hilum.data.walk import film_paths
from hilum.errors import InputError
from hilum.run.answer import Answer, UnreadFilm
from hilum.run.classifier import Classifier
from hilum.run.heatmap import free_path, overlay, write_png
from hilum.run.stream import judge_films
from hilum.run.writing import open_writer

__all__ = ["predict_films"]


def predict_films(
    paths: Iterable[Path],
    *,
    model: Path,
    output_format: str = "table",
    out: Path | None = None,
    heatmaps: Path | None = None,
    console: Console | None = None,
) -> int:
    """Judge films and write the answers in input order.

    Args:
        paths: Films, or folders that are read recursively.
        model: The model file.
        output_format: ``table``, ``jsonl``, ``csv`` or ``parquet``.
        out: The file to write, replaced when all is done; standard output when not given.
        heatmaps: The folder for heat maps, made where it does not exist; none are written when not given.
        console: Where progress goes; nowhere by default.

    Returns:
        How many films could not be read.

    Raises:
        InputError: A path does not exist, no film is found, or the output cannot be written.
        ModelFileError: The model file cannot be used.
    """
    named = list(paths)
    for path in named:
        if not os.path.exists(path):  # noqa: PTH110 - unlike Path.exists it answers False to every OSError
            raise InputError(f"Cannot read `{path}`: it does not exist.", fix="Check the path.")
    classifier = Classifier(model)
    films = list(film_paths(named))
    if not films:
        raise InputError(f"No film was found in {', '.join(f'`{path}`' for path in named)}.", fix="Check the path.")
    try:
        if heatmaps is not None:
            heatmaps.mkdir(parents=True, exist_ok=True)
        if out is None:
            return _judge(
                classifier,
                films,
                output_format=output_format,
                out=None,
                heatmaps=heatmaps,
                console=console or Console(),
            )
        partial = out.with_name(f".{out.name}.partial")
        try:
            num_unread = _judge(
                classifier,
                films,
                output_format=output_format,
                out=partial,
                heatmaps=heatmaps,
                console=console or Console(),
            )
            partial.replace(out)
        finally:
            partial.unlink(missing_ok=True)
        return num_unread
    except BrokenPipeError:
        raise
    except OSError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"Cannot write `{out or heatmaps}`: {error.strerror}.", fix="Choose another place.") from error


def _judge(
    classifier: Classifier,
    films: list[Path],
    *,
    output_format: str,
    out: Path | None,
    heatmaps: Path | None,
    console: Console,
) -> int:
    num_unread, taken = 0, set[str]()
    stream = sys.stdout if out is None else out.open("w", encoding="utf-8", newline="")
    try:
        writer = open_writer(output_format, stream, out, classifier.findings, has_members=classifier.engine.has_members)
        with console.bar(f"Judging {len(films)} films", 1.0) as done:
            for path, answer in zip(films, judge_films(classifier, films), strict=True):
                shown: Answer | UnreadFilm = answer
                if isinstance(answer, UnreadFilm):
                    num_unread += 1
                elif heatmaps is not None:
                    picture = free_path(heatmaps, answer.file, taken)
                    evidence = answer.activation[classifier.findings.index(answer.likeliest)]
                    write_png(picture, overlay(classifier.read_for_display(path), evidence))
                    shown = dataclasses.replace(answer, heatmap=str(picture))
                writer.write(shown)
                done(1 / len(films))
        writer.close()
    finally:
        if out is not None:
            stream.close()
    return num_unread
