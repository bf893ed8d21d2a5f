"""The models of a server: each with its name for requests, its card and the counts of its answers."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hilum.errors import ModelFileError, nearest_name
from hilum.findings import said_as
from hilum.report.verdict import saved_verdict_lines
from hilum.run.classifier import Classifier
from hilum.serve.answer_counts import AnswerCounter
from hilum.serve.httperror import HttpError
from hilum.serve.limits import Limits
from hilum.text import json_text
from hilum.version import __version__

__all__ = ["ServedModel", "model_named", "serve_models", "to_json_bytes"]

_LOG = logging.getLogger("hilum.serve")


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model that answers.

    Attributes:
        name: What requests call it: the model's name; of a second model of that name, the name with ``-2``.
        classifier: The model.
        counter: Counts its answers.
        card: Its card as JSON.
    """

    name: str
    classifier: Classifier
    counter: AnswerCounter
    card: bytes


def serve_models(
    classifiers: Sequence[Classifier], limits: Limits, counts_folder: Path | None = None
) -> tuple[ServedModel, ...]:
    """Return models ready to answer; the first one answers requests that name none.

    Args:
        classifiers: The models.
        limits: The limits of the server, for the cards.
        counts_folder: Where answers are counted by day; None to count them since the start only.

    Raises:
        ModelFileError: The figures of a model are not valid JSON.
    """
    names: list[str] = []
    for classifier in classifiers:
        name, number = classifier.metadata.name, 1
        while name in names:
            number += 1
            name = f"{classifier.metadata.name}-{number}"
        names.append(name)
    return tuple(
        ServedModel(
            name,
            classifier,
            AnswerCounter(classifier, counts_folder, _LOG.warning),
            _model_card(classifier, limits, names),
        )
        for name, classifier in zip(names, classifiers, strict=True)
    )


def model_named(models: Sequence[ServedModel], name: str | None) -> ServedModel:
    """Return the model that a request names; the first one if it names none.

    Raises:
        HttpError: 422, there is no such model.
    """
    if name is None:
        return models[0]
    for model in models:
        if model.name == name:
            return model
    fix = nearest_name(name, [model.name for model in models])
    raise HttpError(422, "InvalidParameter", f"There is no model `{name}`.", fix=fix)


def to_json_bytes(value: Any) -> bytes:
    """Return a value as JSON.

    Raises:
        ValueError: It holds NaN or infinity, which JSON does not have.
    """
    return json_text(json.dumps(value, ensure_ascii=False, allow_nan=False)).encode("utf-8", "backslashreplace")


def _model_card(classifier: Classifier, limits: Limits, names: Sequence[str]) -> bytes:
    metadata = classifier.metadata
    card = {
        **classifier.identity,
        "findings": [
            {
                "name": name,
                "said_as": said_as(name),
                "snomed_ct": metadata.snomed_ct.get(name),
                "operating_threshold": metadata.operating_thresholds.get(name, 0.5),
                "conformal_threshold": metadata.conformal.get(name, {"threshold": 1.0})["threshold"],
            }
            for name in metadata.findings
        ],
        "coverage": metadata.coverage,
        "temperature": metadata.temperature,
        "precision": metadata.precision,
        "preprocessing": metadata.preprocessing.to_dict(),
        "training_data": dict(metadata.training_data),
        "figures": dict(metadata.figures),
        "verdict": list(saved_verdict_lines(metadata.figures)),
        "model_card": metadata.model_card,
        "model_version": metadata.hilum_version,
        "format_version": metadata.format_version,
        "decoder_version": metadata.decoder_version,
        "notice": metadata.notice,
        "hilum_version": __version__,
        "limits": {"body_bytes": limits.body_bytes, "films": limits.films},
        "models": list(names),
    }
    try:
        return to_json_bytes(card)
    except ValueError as error:
        raise ModelFileError(
            "The figures in the model file are not valid JSON numbers.", fix="Train the model again."
        ) from error
