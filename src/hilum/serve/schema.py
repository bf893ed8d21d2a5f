"""The JSON objects of the service, for its OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["DriftBody", "Error", "ErrorBody", "Health", "ModelCard", "Prediction", "Predictions", "UnreadFilmBody"]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Error(_Shape):
    """What went wrong."""

    type: str = Field(description="A name for programs, such as UndecodableFilm or Busy.")
    message: str
    fix: str = Field(description="What to do about it; may be empty.")
    refused: bool | None = Field(
        default=None, description="True if the film can be read, but its file says that it is not a chest film."
    )


class ErrorBody(_Shape):
    """An error; all errors have this shape."""

    error: Error
    predictions: list[UnreadFilmBody] | None = Field(
        default=None, description="If none of the films could be read: the error of each film."
    )


class UnreadFilmBody(_Shape):
    """A film that could not be read."""

    file: str
    error: Error


class Reason(_Shape):
    """Why a film is refused."""

    code: str
    message: str


class ModelIdentity(_Shape):
    """Which model answered."""

    name: str
    sha256: str


class Display(_Shape):
    """The pictures for a viewer. Each is a PNG data URI and fills the same rectangle."""

    width_px: int
    height_px: int
    film: str
    heat: dict[str, str]


class Prediction(_Shape):
    """The answer for one film; the same object as a line of `hilum predict --format jsonl`."""

    file: str
    finding: str | None = Field(description="The likeliest finding; null if the film is refused.")
    probabilities: dict[str, float]
    set: list[str] = Field(description="The findings that cannot be ruled out; it always holds the likeliest.")
    above_threshold: list[str]
    accepted: bool
    reasons: list[Reason]
    disagreement: float | None = Field(
        default=None, description="How much the members of an ensemble differ; absent for other models."
    )
    outlier_score: float | None = Field(
        default=None, description="How unlike the training films the film is; null if the model cannot tell."
    )
    exposure: float | None = Field(default=None, description="How bright the film is: its mean grey value, 0 to 1.")
    heatmap: str | None = Field(
        description="With heatmap=true a PNG data URI, else null. It shows where the evidence is, not why."
    )
    model: ModelIdentity
    display: Display | None = Field(default=None, description="With display=true; else absent.")


class Predictions(_Shape):
    """One object for each film, in the order of the body."""

    predictions: list[Prediction | UnreadFilmBody]


class FindingBody(_Shape):
    """A finding of the model."""

    name: str
    said_as: str = Field(description="How people are told the answer that a film shows this finding and no other.")
    snomed_ct: str | None
    operating_threshold: float
    conformal_threshold: float


class ModelCard(BaseModel):
    """The card of the model."""

    model_config = ConfigDict(protected_namespaces=())

    name: str
    sha256: str
    findings: list[FindingBody]
    coverage: float
    temperature: float
    precision: str
    preprocessing: dict[str, Any]
    training_data: dict[str, Any]
    figures: dict[str, Any]
    verdict: list[str] = Field(description="Whether the figures may be believed, in sentences; empty if not known.")
    model_card: str
    model_version: str = Field(description="The hilum version that made the file.")
    format_version: int
    decoder_version: int
    notice: str | None = Field(description="A warning if the figures were measured with an earlier film decoder.")
    hilum_version: str = Field(description="The version of this server.")
    limits: dict[str, int]
    models: list[str] = Field(description="The names of all models of this server; the first is the default.")


class QuantityBody(_Shape):
    """One quantity of the answers, compared."""

    quantity: str = Field(
        description="`probability:FINDING`, `confidence`, `likeliest`, `set_size`, `refused`, `outlier_score` or "
        "`exposure`."
    )
    p: float = Field(description="How often films of one kind would differ as much.")
    is_different: bool
    reference_shares: list[float] = Field(description="Share of the evaluation's films in each bin.")
    shares: list[float] = Field(description="Share of the recent films in each bin.")


class DriftBody(_Shape):
    """The answers to recent films, compared with those of the model's evaluation."""

    is_different: bool | None = Field(description="null: too few films to say, or nothing to compare with.")
    lines: list[str] = Field(description="The same in sentences.")
    n: int | None = Field(default=None, description="Recent films.")
    reference_n: int | None = Field(default=None, description="Films of the evaluation.")
    quantities: list[QuantityBody] | None = Field(default=None, description="The smallest p first.")
    found_difference: float | None = Field(
        default=None, description="The smallest change, in a share of half the films, found 8 times out of 10."
    )
    not_in_reference: list[str] | None = Field(
        default=None, description="Quantities that were not compared: the evaluation counted too few films."
    )
    not_in_today: list[str] | None = Field(
        default=None, description="Quantities that were not compared: too few recent films were counted."
    )


class Health(_Shape):
    """The state of the server."""

    status: Literal["ok", "ready"]
