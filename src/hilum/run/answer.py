"""What hilum says of one film: the one shape behind the table, JSON, CSV, Parquet and every service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.errors import HilumError, InputError
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
    """What the model says of one film.

    Attributes:
        file: The path as found, or the name the film was given.
        probabilities: Finding to calibrated probability; they sum to 1.
        set: The findings that the film may show, so that the truth is among them with the model's coverage. It
            always holds the likeliest, given or not: an answer must not name what it rules out.
        above_threshold: The findings whose probability reaches their operating threshold.
        reasons: Why the film is refused; empty where it is accepted.
        model: Name and SHA-256 of the model file.
        logits: (K,) float32, before calibration.
        activation: (K, h, w) float32, what speaks for each finding and where on the film.
        heatmap: Path of the heat map that was written, or None.
        disagreement: Of an ensemble, how far its members are apart, in [0, 1] (see `disagreement`); else None.
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
            "heatmap": self.heatmap,
            "model": dict(self.model),
        }


@dataclass(frozen=True, eq=False)
class UnreadFilm:
    """A film that could not be read; the others still come out."""

    file: str
    error: HilumError

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of this film."""
        return {"file": self.file, "error": self.error.to_dict()}


def outcome(answer: Mapping[str, Any]) -> str:
    """Return how a film came out: ``answered``, ``refused`` or ``unread``.

    Args:
        answer: The JSON object of an `Answer` or `UnreadFilm`; a film whose header says that it is no chest film is
            refused, though no network has seen it.
    """
    if "error" in answer:
        return "refused" if answer["error"].get("refused") else "unread"
    return "answered" if answer.get("finding") is not None else "refused"


def in_words(answer: Mapping[str, Any]) -> str:
    """Return what an answer says, in one phrase: the finding, several that cannot be told apart, or that there is none.

    Args:
        answer: The JSON object of an `Answer` or `UnreadFilm`.

    Example:
        >>> in_words({"finding": "B", "set": ["A", "B"], "probabilities": {"A": 0.4, "B": 0.6}})
        'B or A (undecided)'
    """
    how = outcome(answer)
    if how != "answered":
        return "refused" if how == "refused" else "cannot be read"
    others = sorted(set(answer["set"]) - {answer["finding"]}, key=answer["probabilities"].__getitem__, reverse=True)
    return " or ".join((answer["finding"], *others)) + (" (undecided)" if others else "")


def softmax(logits: npt.ArrayLike, temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """Return the probabilities that logits stand for, after division by the temperature.

    Args:
        logits: (..., K), any real dtype.
        temperature: Above 0; 1 leaves the logits as they are, larger values make the answer less sure.

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
    """Return the thresholds (K,) of a model file's findings; one without a threshold can never be ruled out."""
    return np.array([conformal.get(name, {"threshold": 1.0})["threshold"] for name in findings], dtype=np.float64)


def reached(probabilities: npt.ArrayLike, thresholds: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return which findings reach their conformal threshold, (..., K); none of a film that fits no finding.

    Args:
        probabilities: (..., K) calibrated.
        thresholds: (K,) largest 1 - p with which each finding fits a film.
    """
    return np.asarray(1.0 - np.asarray(probabilities, dtype=np.float64) <= np.asarray(thresholds))


def conformal_sets(probabilities: npt.ArrayLike, thresholds: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return which findings cannot be ruled out, (..., K): those that reach their threshold, and always the likeliest.

    This is the one definition, for what is served and for what is measured. With the likeliest in it a set covers the
    truth no less often than its thresholds promise.

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
    """Return the indices of the findings (K,) that one film's probabilities cannot rule out; see `conformal_sets`."""
    return np.flatnonzero(conformal_sets(probabilities, thresholds)).tolist()


def disagreement(members: npt.ArrayLike) -> float:
    """Return how far the members of an ensemble are apart on one film: 0 where all say the same.

    It is the largest difference between two members in the probability of one finding, so it has a unit that readers
    know, and 1 says that one member is sure of what another rules out.

    Args:
        members: (M, K) probabilities of each member.
    """
    values = np.asarray(members, dtype=np.float64)
    return float((values.max(axis=0) - values.min(axis=0)).max())
