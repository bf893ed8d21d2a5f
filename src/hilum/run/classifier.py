"""The classifier: from a film to its answer. The command line, the services and Python all use it."""

from __future__ import annotations

import functools
import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from itertools import islice
from pathlib import Path

import numpy as np

from hilum.errors import HilumError
from hilum.film.decode import decode, read_film
from hilum.film.given import Film, ValueRange, film_name, given_film
from hilum.film.preprocess import preprocess
from hilum.film.radiograph import Radiograph
from hilum.run.answer import Answer, Reason, UnreadFilm, conformal_limits, conformal_set, disagreement, reached, softmax
from hilum.run.engine import Engine, Outputs
from hilum.run.gate import refusals, side_px_of
from hilum.run.modelfile import Metadata, read_model_file
from hilum.run.out_of_distribution import OutOfDistributionDetector
from hilum.text import printable
from hilum.timings import Part, Timings, in_part

__all__ = ["MODEL_REASONS", "Classifier", "judge_films"]

DISPLAY_PX = 512
_LOG = logging.getLogger("hilum")  # without a handler, Python shows its warnings on standard error
_UNFAMILIAR = Reason(
    "unfamiliar", "The film is unlike the films that this model learned from, or it shows none of their findings."
)
_NO_FINDING_FITS = Reason(
    "no-finding-fits",
    "No finding fits the film. The probability of each finding is lower than on nearly all films that show it. The "
    "film may show a disease that this model does not know.",
)
MODEL_REASONS = frozenset((_UNFAMILIAR.code, _NO_FINDING_FITS.code))  # the others are the gate's


class Classifier:
    """A trained model, ready to judge films.

    Args:
        path: The model file.
        num_threads: Threads of the engine; all cores by default.

    Raises:
        ModelFileError: The file cannot be used.

    Example:
        >>> classifier = hilum.load("model.onnx")  # doctest: +SKIP
        >>> classifier.predict("film.png").finding  # doctest: +SKIP
        'Normal'
    """

    def __init__(self, path: Path, *, num_threads: int | None = None) -> None:
        model = read_model_file(path)
        self.path = path
        self.metadata: Metadata = model.metadata
        if model.metadata.notice:
            _warn_once(model.metadata.notice)
        self.identity = {"name": model.metadata.name, "sha256": model.sha256}
        self.engine = Engine(model, num_threads=num_threads)
        findings = model.metadata.findings
        self._thresholds = np.array([model.metadata.operating_thresholds.get(name, 0.5) for name in findings])
        self._detector = OutOfDistributionDetector.from_dict(model.metadata.gate) if model.metadata.gate else None
        self._limits = conformal_limits(model.metadata.conformal, findings)
        self._side_px = side_px_of(model.metadata.training_data)

    @property
    def findings(self) -> tuple[str, ...]:
        """The model's findings, in the order of its logits."""
        return self.metadata.findings

    def __repr__(self) -> str:
        metadata, sha256 = self.metadata, self.identity["sha256"]
        return f"<Classifier {printable(metadata.name)}: {', '.join(metadata.findings)}; sha256 {sha256[:12]}>"

    def read(self, film: Film, *, value_range: ValueRange | None = None) -> Radiograph:
        """Return a film decoded for this model; see `predict` for what a film may be and for the errors."""
        return given_film(film, min_side_px=self.metadata.preprocessing.decoded_px, value_range=value_range)

    @staticmethod
    def read_for_display(path: Path) -> Radiograph:
        """Return a film with at least `DISPLAY_PX` pixels a side, for people to look at."""
        return read_film(path, min_side_px=DISPLAY_PX)

    def decode(self, data: bytes, name: str) -> Radiograph:
        """Return a film decoded for this model from bytes, in a separate process: the bytes may be hostile."""
        return decode(data, name=name, min_side_px=self.metadata.preprocessing.decoded_px, apart=True)

    def preprocess(self, radiograph: Radiograph) -> np.ndarray:
        """Return the graph's input (1, S, S) for a film."""
        return preprocess(radiograph, self.metadata.preprocessing)

    def predict(self, film: Film, *, value_range: ValueRange | None = None) -> Answer:
        """Judge one film.

        Args:
            film: A path (str or Path); the bytes of a PNG, JPEG or DICOM file; an array (H, W), bone bright, of uint8,
                uint16 or float from 0 to 1; a PIL image; or a film that is already decoded.
            value_range: The values of black and of white, for an array with other values.

        Returns:
            The answer. For a refused film ``finding`` is None and ``reasons`` say why.

        Raises:
            UndecodableFilm, UnsupportedFilm: The film cannot be read.
            InputError: The argument has another type or shape.
        """
        with in_part(Part.decoding):
            radiograph = self.read(film, value_range=value_range)
        with in_part(Part.preprocessing):
            pixels = self.preprocess(radiograph)
        with in_part(Part.network):
            outputs = self.engine.run(pixels[np.newaxis])  # (1, 1, S, S)
        return self.answer(film_name(film), radiograph, outputs, 0)

    def answer(self, name: str, radiograph: Radiograph, outputs: Outputs, position: int) -> Answer:
        """Return the answer for one film of a batch that the engine has run."""
        with in_part(Part.gate):
            refused = refusals(radiograph, side_px=self._side_px)
        return self.answer_outputs(name, refused, outputs, position, exposure=radiograph.exposure)

    def answer_outputs(
        self, name: str, refused: tuple[Reason, ...], outputs: Outputs, position: int, *, exposure: float | None
    ) -> Answer:
        """Return the answer for one film of a batch whose picture the gate has seen.

        Args:
            name: The film's.
            refused: The gate's reasons; empty for a film that may be judged.
            outputs: Of the graph.
            position: The film's place in them.
            exposure: Of the film; see `Answer`.
        """
        logits = outputs.logits[position]
        probabilities = softmax(logits, self.metadata.temperature)  # (K,)
        findings, score = self.findings, self._outlier_score(outputs.features[position], logits)
        return Answer(
            file=name,
            probabilities={finding: float(p) for finding, p in zip(findings, probabilities, strict=True)},
            set=tuple(findings[index] for index in conformal_set(probabilities, self._limits)),
            above_threshold=tuple(findings[index] for index in np.flatnonzero(probabilities >= self._thresholds)),
            reasons=refused or self._reasons(score, probabilities),
            model=self.identity,
            logits=logits,
            activation=outputs.activation[position],
            disagreement=None if outputs.members is None else disagreement(outputs.members[position]),
            features=outputs.features[position],
            outlier_score=score,
            exposure=exposure,
        )

    def _outlier_score(self, features: np.ndarray, logits: np.ndarray) -> float | None:
        """Return how unlike the training films a film is; None where the model file keeps no statistics of them."""
        detector = self._detector
        return None if detector is None else float(detector.outlier_score(features[np.newaxis], logits[np.newaxis])[0])

    def _reasons(self, score: float | None, probabilities: np.ndarray) -> tuple[Reason, ...]:
        """Return why a film is refused that the gate lets through: an outlier, or no finding that fits."""
        if self._detector is not None and score is not None and score > self._detector.threshold:
            return (_UNFAMILIAR,)
        return () if reached(probabilities, self._limits).any() else (_NO_FINDING_FITS,)


@functools.cache
def _warn_once(notice: str) -> None:
    _LOG.warning(notice)


# --- many films -----------------------------------------------------------------------------------------------------

_LEAST_AHEAD = 16


def judge_films(
    classifier: Classifier,
    films: Iterable[Film],
    *,
    num_threads: int | None = None,
    value_range: ValueRange | None = None,
    timings: Timings | None = None,
) -> Iterator[Answer | UnreadFilm]:
    """Judge films in order, several at a time. Memory does not grow with the number of films.

    Args:
        classifier: The model.
        films: Paths, or what else `predict` takes. They are taken when they are needed, so a generator over a million
            files is fine.
        num_threads: How many films are processed at the same time; by default one more than there are cores, because
            one thread usually waits for the disk.
        value_range: As in `Classifier.predict`.
        timings: Where the time of the films is counted.

    Yields:
        One answer for each film; `UnreadFilm` for a film that cannot be read.
    """
    num_threads = num_threads or (os.cpu_count() or 1) + 1
    remaining = iter(films)

    def judge(film: Film) -> Answer | UnreadFilm:
        with nullcontext() if timings is None else timings.clocked(num_films=1):
            return _judge_one(classifier, film, value_range)

    with ThreadPoolExecutor(num_threads) as pool:

        def begin(number: int) -> list[Future[Answer | UnreadFilm]]:
            return [pool.submit(judge, film) for film in islice(remaining, number)]

        judging = deque(begin(max(_LEAST_AHEAD, 4 * num_threads)))
        try:
            while judging:
                answer = judging.popleft().result()
                judging.extend(begin(1))
                yield answer
        finally:
            for future in judging:
                future.cancel()


def _judge_one(classifier: Classifier, film: Film, value_range: ValueRange | None) -> Answer | UnreadFilm:
    try:
        return Classifier.predict(classifier, film, value_range=value_range)  # that of hilum.load takes many
    except HilumError as error:
        return UnreadFilm(film_name(film), error)
