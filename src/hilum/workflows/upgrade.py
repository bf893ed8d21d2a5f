"""`hilum model upgrade`: an earlier model file for today's format and film decoder, where that can be done honestly."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hilum.console import Console, count_of
from hilum.data.split import grouped_folds
from hilum.errors import InputError, ModelFileError
from hilum.figures import to_json
from hilum.film.decode import DECODER_VERSION
from hilum.judge.adaptation import local_calibration
from hilum.judge.calibration import choose_temperature
from hilum.judge.predictions import figures_of, judge_records
from hilum.results import check_file
from hilum.run.answer import softmax
from hilum.run.classifier import Classifier
from hilum.run.modelfile import FORMAT_VERSION, Metadata, ModelFile, read_model_file
from hilum.train.correction import LEAST_FINDING_FILMS
from hilum.train.graph_file import read_graph, write_metadata, write_model
from hilum.version import __version__
from hilum.workflows.local_films import few_notes, read_local

__all__ = ["Upgraded", "upgrade_model"]


@dataclass(frozen=True)
class Upgraded:
    """What an upgrade changed, a sentence each."""

    notes: tuple[str, ...]


def upgrade_model(
    old: Path, new: Path, *, data: Path | None = None, mapping: Sequence[str] = (), console: Console | None = None
) -> Upgraded:
    """Write a model file of an earlier hilum for this one. The network stays as it is.

    Args:
        old: The model file; it is not changed.
        new: The file to write; it must not exist.
        data: Films with findings, to set temperature, thresholds and sets on; needed where they no longer hold.
        mapping: Texts "Their name=Our finding".
        console: Where messages and progress go; nowhere by default.

    Raises:
        InputError: There is nothing to do, films are needed, or the file exists.
        ModelFileError: The file cannot be brought to today's form at all.
    """
    console = console or Console()
    reads = (old, *([] if data is None else [data]))
    check_file(new, made_by="hilum model upgrade", is_own=lambda _: False, may_replace=False, reads=reads)
    shipped, drops_gate = _read_old(old)
    metadata, is_stale = shipped.metadata, shipped.metadata.decoder_version < DECODER_VERSION
    if data is None and not is_stale and not drops_gate and metadata.format_version == FORMAT_VERSION:
        raise InputError(f"`{old}` is a file of today's format and film decoder. There is nothing to do.")
    why = [
        *([_STALE.format(metadata.decoder_version, DECODER_VERSION)] if is_stale else []),
        *([_NO_DETECTOR] if drops_gate else []),
    ]
    if why and data is None:
        raise InputError(
            f"`{old}` cannot be brought to today's form exactly. {' '.join(why)}",
            fix="Add --data with at least 20 films with findings, on which temperature, thresholds and sets are set.",
        )
    made = dataclasses.replace(metadata, format_version=FORMAT_VERSION, hilum_version=__version__)
    write_model(new, read_graph(shipped.data), made)
    if data is None:
        return Upgraded((f"Format {metadata.format_version} became {FORMAT_VERSION}. Its answers are the same.",))
    try:
        notes = _calibrate(new, dataclasses.replace(made, decoder_version=DECODER_VERSION), data, mapping, console)
    except BaseException:
        new.unlink()
        raise
    return Upgraded((*why, *notes))


_STALE = "Its thresholds were set with film decoder {}; this hilum reads films with decoder {}."
_NO_DETECTOR = "Its detector of unfamiliar films has an earlier form and cannot be kept; only training makes a new one."


def _read_old(old: Path) -> tuple[ModelFile, bool]:
    """Return the file, and whether its detector of unfamiliar films has to be left out."""
    try:
        return read_model_file(old), False
    except ModelFileError:
        return read_model_file(old, without_gate=True), True


def _calibrate(new: Path, metadata: Metadata, data: Path, mapping: Sequence[str], console: Console) -> list[str]:
    """Set temperature, thresholds and sets of a file on films with findings; return what was done."""
    write_metadata(new, metadata)
    classifier = Classifier(new)
    local = read_local(classifier, data, mapping, console)
    records, groups = local.scan.dataset.records, local.scan.groups
    root, films = local.scan.dataset.root, count_of(len(records), "film")
    judged = judge_records(classifier, root, records, console=console)
    chosen = choose_temperature(judged.logits, judged.truth, groups)
    folds = np.zeros(len(records), dtype=np.int64)
    for number, held in enumerate(grouped_folds(judged.truth, groups)):
        folds[held] = number
    made = local_calibration(
        softmax(judged.logits, chosen.value), judged.truth, folds, metadata, chosen.value, least=LEAST_FINDING_FILMS
    )
    metadata = dataclasses.replace(
        metadata,
        temperature=made.temperature,
        operating_thresholds=made.operating_thresholds,
        conformal=made.conformal,
        calibration={**made.facts, "method": "validation", "temperature": chosen.to_dict()},
        figures={},
        evaluation={},
    )
    write_metadata(new, metadata)
    again = Classifier(new)
    judged = judge_records(again, root, records, console=console, label=f"Judging {films} again")
    figures = figures_of(judged, groups, again)
    write_metadata(new, dataclasses.replace(metadata, figures={"validation": to_json(figures)}))
    return [
        *local.notes,
        *few_notes(local.scan, classifier.findings),
        f"Temperature, thresholds and sets are set on {films}. The figures in the file are of the same films, and so "
        "too favourable.",
    ]
