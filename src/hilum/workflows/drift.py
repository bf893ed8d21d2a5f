"""`hilum drift`: whether a model's answers to today's films are distributed as those of its evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from hilum.errors import InputError
from hilum.judge.drift import (
    AnswerCounts,
    Drift,
    count_answers,
    counts_from_json,
    counts_of_days,
    measure_drift,
    sum_counts,
)
from hilum.run.modelfile import ModelFile, read_model_file
from hilum.run.saved_answers import SavedAnswer, read_answers
from hilum.run.saved_counts import is_counts, read_days

__all__ = ["find_drift"]


def find_drift(
    model: Path, predictions: Sequence[Path], *, reference: Sequence[Path] = (), days: int | None = None
) -> Drift:
    """Return how the answers in outputs of `hilum predict` compare with those of the model's evaluation.

    Args:
        model: The model file, the folder of a run, or the name of a model that ships.
        predictions: Outputs of `hilum predict` with this model, and counts of answers: a folder that `hilum serve
            --counts` writes, the folder `counts` in the spool of `hilum node`, or single files of these.
        reference: Earlier outputs with this model, to compare with in place of the evaluation.
        days: Of counts, take the last so many days only, with today; None for all.

    Raises:
        InputError: A file cannot be read, is of another model, or the model file says nothing of its evaluation.
        ModelFileError: The model file cannot be used.
    """
    read = read_model_file(model)
    usual = _counts(read, reference) if reference else counts_from_json(read.metadata.evaluation)
    if usual is None:
        raise InputError(
            f"The model `{read.metadata.name}` does not say how it answered in its evaluation; an earlier hilum made "
            "the file.",
            fix="Add --reference with the predictions of an earlier time, to compare with these.",
        )
    since = None if days is None else date.today() - timedelta(days=days - 1)
    return measure_drift(usual, _counts(read, predictions, since))


def _counts(model: ModelFile, files: Sequence[Path], since: date | None = None) -> AnswerCounts:
    """Return the answers of all files; of counts only those since a day."""
    saved = [path for path in files if not is_counts(path)]
    counted = [_counted(model, path, since) for path in files if is_counts(path)]
    return sum_counts([_predicted(model, saved), *counted])


def _counted(model: ModelFile, path: Path, since: date | None) -> AnswerCounts:
    found = read_days(path, model.sha256)
    if not found:
        raise InputError(
            f"`{path}` holds no counts of answers of the model `{model.metadata.name}`.",
            fix="Give the folder of --counts, or `counts` in the spool of a node, and the model that answered.",
        )
    if any(tuple(one.findings) != tuple(model.metadata.findings) for one in found):
        raise InputError(f"`{path}` holds counts of other findings than those of the model.", fix="Move it away.")
    return counts_of_days(one for one in found if since is None or one.day >= since)


def _predicted(model: ModelFile, files: Sequence[Path]) -> AnswerCounts:
    findings = model.metadata.findings
    answers: list[SavedAnswer] = []
    for path in files:
        found = read_answers(path)
        if any(one.model_sha256 != model.sha256 for one in found):
            raise InputError(
                f"`{path}` holds predictions of another model than `{model.metadata.name}`.",
                fix="Give predictions of this model file, or the file that made them.",
            )
        answers += found
    rows = [[one.probabilities[name] for name in findings] for one in answers]
    return count_answers(
        rows,
        [one.set_size for one in answers],
        [one.accepted for one in answers],
        findings,
        outlier_scores=[one.outlier_score for one in answers],
        exposures=[one.exposure for one in answers],
    )
