"""The answer for one film. The table, JSON, CSV, Parquet and all services are written from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.errors import HilumError, InputError
from hilum.findings import said_as
from hilum.text import printable

__all__ = [
    "Answer",
    "Reason",
    "UnreadFilm",
    "conformal_limits",
    "conformal_set",
    "conformal_sets",
    "disagreement",
    "in_words",
    "outcome",
    "reached",
    "softmax",
]


@dataclass(frozen=True)
class Reason:
    """Why a film is refused: a code for programs, a message for people."""

    code: str
    message: str


@dataclass(frozen=True, eq=False)
class Answer:
    """What the model says about one film.

    Attributes:
        file: The path, or the name the film was given.
        probabilities: Finding to calibrated probability; they sum to 1.
        set: The findings that cannot be ruled out. The true finding is among them with the model's coverage. The
            likeliest finding is added if it is missing.
        above_threshold: The findings whose probability reaches their operating threshold.
        reasons: Why the film is refused; empty if it is accepted.
        model: Name and SHA-256 of the model file.
        logits: (K,) float32, before calibration.
        activation: (K, h, w) float32, the evidence for each finding by place on the film.
        heatmap: Path of the heat map that was written, or None.
        disagreement: For an ensemble, how much its members differ, in [0, 1] (see `disagreement`); else None.
        features: (D,) float32, the layer before the logits; None where they were not kept.
        outlier_score: How unlike the training films the film is (`run.out_of_distribution`), at least 0; None where
            the model file keeps no statistics of them.
        exposure: How bright the film is as decoded: the mean of its grey values, in [0, 1]; None where not known.
    """

    file: str
    probabilities: Mapping[str, float]
    set: tuple[str, ...]
    above_threshold: tuple[str, ...]
    reasons: tuple[Reason, ...]
    model: Mapping[str, str]
    logits: np.ndarray
    activation: np.ndarray
    heatmap: str | None = None
    disagreement: float | None = None
    features: np.ndarray | None = None
    outlier_score: float | None = None
    exposure: float | None = None

    def __repr__(self) -> str:
        codes = ", ".join(reason.code for reason in self.reasons)
        said = f"refused ({codes})" if codes else in_words(self.to_dict())
        shares = ", ".join(f"{name} {share:.3f}" for name, share in self.probabilities.items())
        return printable(f"<Answer {self.file}: {said}; {shares}>")

    def __post_init__(self) -> None:
        if self.probabilities and self.likeliest not in self.set:
            held = {*self.set, self.likeliest}
            object.__setattr__(self, "set", tuple(name for name in self.probabilities if name in held))

    @property
    def accepted(self) -> bool:
        """Whether the film is one the model may judge."""
        return not self.reasons

    @property
    def likeliest(self) -> str:
        """The finding with the highest probability, also of a refused film."""
        return max(self.probabilities, key=self.probabilities.__getitem__)

    @property
    def finding(self) -> str | None:
        """The likeliest finding, or None where the film is refused."""
        return self.likeliest if self.accepted else None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of this film; only that of an ensemble has the key ``disagreement``."""
        apart: dict[str, Any] = {} if self.disagreement is None else {"disagreement": self.disagreement}
        return {
            "file": self.file,
            "finding": self.finding,
            "probabilities": dict(self.probabilities),
            "set": list(self.set),
            "above_threshold": list(self.above_threshold),
            "accepted": self.accepted,
            "reasons": [{"code": reason.code, "message": reason.message} for reason in self.reasons],
            **apart,
            "outlier_score": self.outlier_score,
            "exposure": self.exposure,
            "heatmap": self.heatmap,
            "model": dict(self.model),
        }


@dataclass(frozen=True, eq=False)
class UnreadFilm:
    """A film that could not be read. Other films are still judged."""

    file: str
    error: HilumError

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of this film."""
        return {"file": self.file, "error": self.error.to_dict()}


def outcome(answer: Mapping[str, Any]) -> str:
    """Return ``answered``, ``refused`` or ``unread`` for the JSON object of an `Answer` or `UnreadFilm`.

    A film whose header says that it is not a chest film counts as refused.
    """
    if "error" in answer:
        return "refused" if answer["error"].get("refused") else "unread"
    return "answered" if answer.get("finding") is not None else "refused"


def in_words(answer: Mapping[str, Any]) -> str:
    """Return the answer in one phrase, from the JSON object of an `Answer` or `UnreadFilm`.

    Example:
        >>> in_words({"finding": "B", "set": ["A", "B"], "probabilities": {"A": 0.4, "B": 0.6}})
        'B or A (undecided)'
        >>> in_words({"finding": "Other abnormality", "set": ["Other abnormality"], "probabilities": {}})
        'abnormal, but none of the findings this model knows'
    """
    how = outcome(answer)
    if how != "answered":
        return "refused" if how == "refused" else "cannot be read"
    others = sorted(set(answer["set"]) - {answer["finding"]}, key=answer["probabilities"].__getitem__, reverse=True)
    return f"{' or '.join((answer['finding'], *others))} (undecided)" if others else said_as(answer["finding"])


def softmax(logits: npt.ArrayLike, temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """Return the softmax of logits divided by the temperature.

    Args:
        logits: (..., K), any real dtype.
        temperature: Above 0. A larger value makes the answer less sure.

    Returns:
        (..., K) float64 in [0, 1], summing to 1 over the last axis.

    Raises:
        InputError: The temperature is not a positive number.
    """
    if not (np.isfinite(temperature) and temperature > 0):
        raise InputError(f"The temperature must be a positive number, received {temperature}.")
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def conformal_limits(conformal: Mapping[str, Mapping[str, Any]], findings: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return the conformal thresholds (K,) of the findings. A finding without a threshold is never ruled out."""
    return np.array([conformal.get(name, {"threshold": 1.0})["threshold"] for name in findings], dtype=np.float64)


def reached(probabilities: npt.ArrayLike, thresholds: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return which findings reach their conformal threshold, (..., K). For an unknown disease this may be none.

    Args:
        probabilities: (..., K) calibrated.
        thresholds: (K,) largest 1 - p with which each finding fits a film.
    """
    return np.asarray(1.0 - np.asarray(probabilities, dtype=np.float64) <= np.asarray(thresholds))


def conformal_sets(probabilities: npt.ArrayLike, thresholds: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return which findings cannot be ruled out, (..., K): those that reach their threshold, and always the likeliest.

    Serving and measuring both use this function. Adding the likeliest finding can only raise the coverage.

    Args:
        probabilities: (..., K) calibrated; of equally likely findings the first counts as the likeliest.
        thresholds: (K,) as in `reached`.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    inside = reached(values, thresholds)
    if values.size:
        np.put_along_axis(inside, values.argmax(axis=-1, keepdims=True), values=True, axis=-1)
    return inside


def conformal_set(probabilities: npt.ArrayLike, thresholds: npt.ArrayLike) -> list[int]:
    """Return the indices of the findings that cannot be ruled out on one film, from its probabilities (K,)."""
    return np.flatnonzero(conformal_sets(probabilities, thresholds)).tolist()


def disagreement(members: npt.ArrayLike) -> float:
    """Return how much the members of an ensemble differ on one film, from 0 (not at all) to 1.

    It is the largest difference between two members in the probability of one finding.

    Args:
        members: (M, K) probabilities of each member.
    """
    values = np.asarray(members, dtype=np.float64)
    return float((values.max(axis=0) - values.min(axis=0)).max())
