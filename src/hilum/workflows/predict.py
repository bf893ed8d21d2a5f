"""Judging the films a person names: from paths to answers in a format, with heat maps and lungs beside them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

from hilum.console import Console, count_of
from hilum.data.filmlist import FilmList, check_paths, list_films
from hilum.errors import InputError
from hilum.files import replacing
from hilum.results import check_file
from hilum.run.answer import UnreadFilm, outcome
from hilum.run.classifier import Classifier, judge_films
from hilum.run.cluster import Cluster, predict_on_cluster
from hilum.run.finished import is_own_output, num_unread_in
from hilum.run.journal import Journal, journal_path, num_answers
from hilum.run.pictures import Pictures, check_pictures
from hilum.run.writing import check_format, open_writer
from hilum.version import __version__

__all__ = ["PredictOptions", "predict_films"]


@dataclass(frozen=True)
class PredictOptions:
    """What a person asks `predict` for.

    Attributes:
        model: The model file.
        output_format: ``table``, ``jsonl``, ``csv`` or ``parquet``.
        out: The file to write, replaced when all is done; standard output when not given. Until then the answers are
            kept in a journal beside it, which stays where the run does not come to its end.
        heatmaps: The folder for heat maps, made where it does not exist; none are written when not given.
        lungs: The folder for masks of the lungs, as large as the films; as for heat maps, and not the same folder.
        resume: Go on with the journal of an earlier run with the same ``out``; start from the first film where there is
            none. Where ``out`` is finished, nothing is judged.
        overwrite: Replace what an earlier `predict` wrote: the output, its journal, pictures. Nothing else is ever
            replaced.
        cluster: Where to judge, for more films than one computer can; ``out`` is then a folder of Parquet files, and
            what is missing there is computed. This process alone when not given.
    """

    model: Path
    output_format: str = "table"
    out: Path | None = None
    heatmaps: Path | None = None
    lungs: Path | None = None
    resume: bool = False
    overwrite: bool = False
    cluster: Cluster | None = None


def predict_films(
    paths: Iterable[Path],
    options: PredictOptions,
    *,
    standard_input: IO[bytes] | None = None,
    console: Console | None = None,
) -> int:
    """Judge films and write the answers in input order.

    Args:
        paths: Films, folders that are read recursively, CSV files, ``-``: see `list_films`.
        options: What is asked for.
        standard_input: What ``-`` reads.
        console: Where progress goes; nowhere by default.

    Returns:
        How many films could not be read, those of the earlier run included.

    Raises:
        InputError: A path does not exist, no film is found, the output cannot be written or something is there that
            may not be replaced, or the earlier run had another model or other films.
        MissingExtra: Parquet without pyarrow, a cluster without Ray.
        ModelFileError: The model file cannot be used.
    """
    named, console = list(paths), console or Console()
    check_paths(named)
    if options.cluster is not None:
        return _on_cluster(named, options, options.cluster, standard_input, console)
    check_format(options.output_format, options.out)
    if options.resume and options.out is None:
        raise InputError("--resume continues an output file, and none is named.", fix="Name it: --out FILE")
    if options.out is not None:
        _check_output(options.out, [*named, options.model], resume=options.resume, overwrite=options.overwrite)
    classifier = Classifier(options.model)
    films = _list_films(named, standard_input, console)
    _check_picture_folders(options, films, named)
    try:
        if options.out is None:
            pictures = Pictures(classifier, options.heatmaps, options.lungs)
            return _to_standard_output(classifier, films, options.output_format, pictures, console)
        return _to_file(options.out, classifier, films, options, console)
    except BrokenPipeError:
        raise
    except OSError as error:
        if isinstance(error, InputError):
            raise
        fix = "Choose another place, or make room and repeat the command with --resume." if options.out else ""
        raise InputError(
            f"Cannot write `{options.out or options.heatmaps or options.lungs}`: {error.strerror}.",
            fix=fix or "Choose another place.",
        ) from error


def _on_cluster(
    named: list[Path], options: PredictOptions, cluster: Cluster, standard_input: IO[bytes] | None, console: Console
) -> int:
    out = _folder_for_cluster(options.output_format, options.out, options.heatmaps or options.lungs)
    films = _list_films(named, standard_input, console)
    return predict_on_cluster(
        films, model=options.model, out=out, cluster=cluster, overwrite=options.overwrite, console=console
    )


def _check_picture_folders(options: PredictOptions, films: FilmList, named: list[Path]) -> None:
    may_replace = options.overwrite or (options.resume and options.out is not None)
    for folder, option in ((options.heatmaps, "--heatmaps"), (options.lungs, "--lungs")):
        if folder is not None:
            check_pictures(
                folder, films, read_folders=named, answers=options.out, option=option, may_replace=may_replace
            )


def _to_file(out: Path, classifier: Classifier, films: FilmList, options: PredictOptions, console: Console) -> int:
    """Judge films into a journal, then write the output from it; go on with an earlier run where that is asked."""
    sha256 = classifier.identity["sha256"]
    if options.resume and options.lungs is None and out.exists() and not journal_path(out).exists():
        unread = num_unread_in(
            out, films, format_=options.output_format, model_sha256=sha256, heatmaps=options.heatmaps
        )
        if unread is not None:
            console.say(f"All {films.num_films:,} films were judged by an earlier run; nothing is left to do.")
            return unread
    pictures = Pictures(classifier, options.heatmaps, options.lungs)
    run = {
        "model": sha256,
        "films": films.sha256,
        "heatmaps": None if options.heatmaps is None else str(options.heatmaps),
        "lungs": None if options.lungs is None else str(options.lungs),
        "hilum": __version__,
    }
    with Journal(out, run, films, resume=options.resume, pass_by=pictures.pass_by) as journal:
        if journal.num_done:
            console.say(f"{journal.num_done:,} of {films.num_films:,} films were judged by an earlier run.")
        for answer in _answers(classifier, films, pictures, console, journal.num_done):
            journal.add(answer)
        _write_whole(out, journal, options.output_format, classifier)
        journal.remove()
        return _concluded(journal.outcomes, console)


def _check_output(out: Path, reads: list[Path], *, resume: bool, overwrite: bool) -> None:
    """Refuse an output in whose place anything lies but what an earlier `predict` wrote and is to be replaced."""
    check_file(
        out, made_by="hilum predict", is_own=is_own_output, may_replace=overwrite or resume, reads=reads, resumes=True
    )
    if not (resume or overwrite) and num_answers(out, most=1):
        raise InputError(
            f"`{out}` was begun by an earlier run, which did not finish; {num_answers(out):,} films are judged.",
            fix="Add --resume to go on with it, --overwrite to begin anew, or name another file.",
        )


def _list_films(named: Iterable[Path], standard_input: IO[bytes] | None, console: Console) -> FilmList:
    """Return the films that were named; say what folders hold that is no film by its name."""
    films = list_films(named, standard_input=standard_input)
    if films.passed_over:
        console.say(films.passed_over)
    return films


def _folder_for_cluster(output_format: str, out: Path | None, pictures: Path | None) -> Path:
    """Return where the answers of a cluster go; refuse what a cluster does not write."""
    if output_format != "parquet" or out is None:
        raise InputError(
            f"A cluster writes Parquet files into a folder; received the format {output_format}"
            f"{'' if out else ' and no folder'}.",
            fix="Add --format parquet --out DIR",
        )
    if pictures is not None:
        raise InputError("A cluster writes no pictures.", fix="Leave out --heatmaps and --lungs, or --cluster.")
    if out.exists() and not out.is_dir():
        raise InputError(f"Cannot write to `{out}`: it is a file; a cluster writes into a folder.", fix="Name another.")
    return out


def _to_standard_output(
    classifier: Classifier, films: FilmList, output_format: str, pictures: Pictures, console: Console
) -> int:
    outcomes = Counter[str]()
    writer = open_writer(
        output_format, sys.stdout, None, classifier.findings, has_members=classifier.engine.has_members
    )
    for answer in _answers(classifier, films, pictures, console):
        outcomes[outcome(answer)] += 1
        writer.write(answer)
    writer.close()
    return _concluded(outcomes, console)


def _concluded(outcomes: Mapping[str, int], console: Console) -> int:
    """Say how the films came out, where not all were answered; return how many could not be read."""
    words = {"answered": "answered", "refused": "refused", "unread": "could not be read"}
    if outcomes["refused"] or outcomes["unread"]:
        told = ", ".join(f"{outcomes[key]:,} {word}" for key, word in words.items() if outcomes[key])
        console.say(f"{count_of(sum(outcomes.values()), 'film')}: {told}.")
    return outcomes["unread"]


def _answers(
    classifier: Classifier, films: FilmList, pictures: Pictures, console: Console, first: int = 0
) -> Iterator[Mapping[str, Any]]:
    """Yield the JSON objects of the films from the first one on; write their pictures."""
    with console.films(f"Judging {count_of(films.num_films, 'film')}", films.num_films, first) as done:
        for answer in judge_films(classifier, islice(films, first, None)):
            yield (answer if isinstance(answer, UnreadFilm) else pictures.write(answer)).to_dict()
            done(1)


def _write_whole(out: Path, journal: Journal, output_format: str, classifier: Classifier) -> None:
    """Write the output from the journal, and put it in its place when it is safe on the disk."""
    with replacing(out) as whole, whole.open("w", encoding="utf-8", newline="") as stream:
        writer = open_writer(
            output_format, stream, whole, classifier.findings, has_members=classifier.engine.has_members
        )
        for answer in journal.answers():
            writer.write(answer)
        writer.close()
