"""The work of `hilum predict`: judge films and write answers, heat maps and lung masks."""

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
from hilum.run.cluster import predict_on_cluster
from hilum.run.heatmap import Pictures, check_pictures
from hilum.run.journal import Journal, journal_path, num_answers
from hilum.run.ray_cluster import Cluster
from hilum.run.saved_answers import is_own_output, num_unread_in
from hilum.run.writing import AnswerWriter, check_format, open_writer
from hilum.timings import Timings
from hilum.version import __version__

__all__ = ["PredictOptions", "predict_films"]


@dataclass(frozen=True)
class PredictOptions:
    """The options of `predict`.

    Attributes:
        model: The model file.
        output_format: ``table``, ``jsonl``, ``csv`` or ``parquet``.
        out: The output file; standard output by default. It is written at the end. Until then the answers are in a
            journal beside it, which stays if the run is stopped.
        heatmaps: The folder for heat maps, made if it does not exist; None for no heat maps.
        lungs: The folder for lung masks, as large as the films; must not be the folder for heat maps.
        resume: Continue the journal of an earlier run with the same ``out``, if there is one. If ``out`` is finished,
            no film is judged.
        overwrite: Replace files of an earlier `predict`: the output, its journal, pictures. Other files are never
            replaced.
        cluster: Judge on many computers; ``out`` is then a folder, and missing Parquet files are computed.
        timings: Say at the end where the time went.
    """

    model: Path
    output_format: str = "table"
    out: Path | None = None
    heatmaps: Path | None = None
    lungs: Path | None = None
    resume: bool = False
    overwrite: bool = False
    cluster: Cluster | None = None
    timings: bool = False


@dataclass(frozen=True)
class _Run:
    """One run of `predict` on this computer."""

    classifier: Classifier
    films: FilmList
    options: PredictOptions
    console: Console
    timings: Timings

    def pictures(self) -> Pictures:
        """Return the pictures of this run, and make their folders."""
        return Pictures(self.classifier, self.options.heatmaps, self.options.lungs)

    def answers(self, pictures: Pictures, first: int = 0) -> Iterator[Mapping[str, Any]]:
        """Yield the JSON objects of the films, starting at number ``first``; write their pictures."""
        number = self.films.num_films
        with self.console.films(f"Judging {count_of(number, 'film')}", number, first) as done:
            for answer in judge_films(self.classifier, islice(self.films, first, None), timings=self.timings):
                yield (answer if isinstance(answer, UnreadFilm) else pictures.write(answer)).to_dict()
                done(1)

    def writer(self, stream: IO[str], path: Path | None) -> AnswerWriter:
        """Return the writer of the answers."""
        has_members = self.classifier.engine.has_members
        return open_writer(self.options.output_format, stream, path, self.classifier.findings, has_members=has_members)


def predict_films(
    paths: Iterable[Path],
    options: PredictOptions,
    *,
    standard_input: IO[bytes] | None = None,
    console: Console | None = None,
) -> int:
    """Judge films and write the answers in input order.

    Args:
        paths: Films, folders (read with all sub-folders), CSV files, or ``-``; see `list_films`.
        options: The options.
        standard_input: The list of films for the path ``-``.
        console: Where progress is shown.

    Returns:
        How many films could not be read, including those of an earlier run that is continued.

    Raises:
        InputError: A path does not exist, no film is found, the output cannot be written or may not be replaced, or
            the earlier run had another model or other films.
        MissingExtra: Parquet without pyarrow, a cluster without Ray.
        ModelFileError: The model file cannot be used.
    """
    named, console = list(paths), console or Console()
    check_paths(named)
    if options.cluster is not None:
        if options.timings:
            raise InputError("With --cluster, no time is measured.", fix="Leave out --timings or --cluster.")
        return _on_cluster(named, options, options.cluster, standard_input, console)
    check_format(options.output_format, options.out)
    if options.resume and options.out is None:
        raise InputError("--resume needs the output file of the earlier run.", fix="Name it: --out FILE")
    if options.out is not None:
        _check_output(options.out, [*named, options.model], resume=options.resume, overwrite=options.overwrite)
    classifier = Classifier(options.model)
    films = _list_films(named, standard_input, console)
    _check_picture_folders(options, films, named)
    run = _Run(classifier, films, options, console, Timings())
    try:
        with run.timings.clocked():
            num_unread = _to_standard_output(run) if options.out is None else _to_file(run, options.out)
    except BrokenPipeError:
        raise
    except OSError as error:
        if isinstance(error, InputError):
            raise
        fix = "Choose another folder, or free some space and repeat the command with --resume." if options.out else ""
        raise InputError(
            f"Cannot write `{options.out or options.heatmaps or options.lungs}`: {error.strerror}.",
            fix=fix or "Choose another folder.",
        ) from error
    if options.timings:
        console.say(str(run.timings.result()))
    return num_unread


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


def _to_file(run: _Run, out: Path) -> int:
    """Judge films into a journal, then write the output from it; continue an earlier run with --resume."""
    classifier, films, options, console = run.classifier, run.films, run.options, run.console
    sha256 = classifier.identity["sha256"]
    if options.resume and options.lungs is None and out.exists() and not journal_path(out).exists():
        unread = num_unread_in(
            out, films, format_=options.output_format, model_sha256=sha256, heatmaps=options.heatmaps
        )
        if unread is not None:
            console.say(f"An earlier run judged all {films.num_films:,} films. There is nothing left to do.")
            return unread
    pictures = run.pictures()
    same = {
        "model": sha256,
        "films": films.sha256,
        "heatmaps": None if options.heatmaps is None else str(options.heatmaps),
        "lungs": None if options.lungs is None else str(options.lungs),
        "hilum": __version__,
    }
    with Journal(out, same, films, resume=options.resume, pass_by=pictures.pass_by) as journal:
        if journal.num_done:
            console.say(f"An earlier run judged {journal.num_done:,} of {films.num_films:,} films.")
        for answer in run.answers(pictures, journal.num_done):
            journal.add(answer)
        _write_whole(run, out, journal)
        journal.remove()
        num_unread = _concluded(journal.outcomes, console)
        console.say(f"Answers: {out}")
        return num_unread


def _check_output(out: Path, reads: list[Path], *, resume: bool, overwrite: bool) -> None:
    """Check that the output file may be written; see `check_file`."""
    check_file(
        out, made_by="hilum predict", is_own=is_own_output, may_replace=overwrite or resume, reads=reads, resumes=True
    )
    if not (resume or overwrite) and num_answers(out, most=1):
        raise InputError(
            f"An earlier run began `{out}` and did not finish; {num_answers(out):,} films are judged.",
            fix="Add --resume to continue it, --overwrite to start again, or name another file.",
        )


def _list_films(named: Iterable[Path], standard_input: IO[bytes] | None, console: Console) -> FilmList:
    """Return the films; say how many other files the folders hold."""
    films = list_films(named, standard_input=standard_input)
    if films.passed_over:
        console.say(films.passed_over)
    return films


def _folder_for_cluster(output_format: str, out: Path | None, pictures: Path | None) -> Path:
    """Return the output folder for a cluster; refuse options that a cluster does not have."""
    if output_format != "parquet" or out is None:
        raise InputError(
            f"A cluster writes Parquet files into a folder; received the format {output_format}"
            f"{'' if out else ' and no folder'}.",
            fix="Add --format parquet --out DIR",
        )
    if pictures is not None:
        raise InputError(
            "With --cluster, no pictures can be written.", fix="Leave out --heatmaps and --lungs, or --cluster."
        )
    if out.exists() and not out.is_dir():
        raise InputError(f"Cannot write to `{out}`: it is a file. A cluster needs a folder.", fix="Name a folder.")
    return out


def _to_standard_output(run: _Run) -> int:
    outcomes, pictures, writer = Counter[str](), run.pictures(), run.writer(sys.stdout, None)
    for answer in run.answers(pictures):
        outcomes[outcome(answer)] += 1
        writer.write(answer)
    writer.close()
    return _concluded(outcomes, run.console)


def _concluded(outcomes: Mapping[str, int], console: Console) -> int:
    """Say how many films were refused or could not be read, if any; return how many could not be read."""
    words = {"answered": "answered", "refused": "refused", "unread": "could not be read"}
    if outcomes["refused"] or outcomes["unread"]:
        counts = ", ".join(f"{outcomes[key]:,} {word}" for key, word in words.items() if outcomes[key])
        console.say(f"{count_of(sum(outcomes.values()), 'film')}: {counts}.")
    return outcomes["unread"]


def _write_whole(run: _Run, out: Path, journal: Journal) -> None:
    """Write the output from the journal, in one step."""
    with replacing(out) as whole, whole.open("w", encoding="utf-8", newline="") as stream:
        writer = run.writer(stream, whole)
        for answer in journal.answers():
            writer.write(answer)
        writer.close()
