"""The answers of a classifier in Python: one for each film, in order, with a table, a page in a notebook and files."""

from __future__ import annotations

import dataclasses
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

from hilum.api.places import AnyPath, new_folder, read_frame
from hilum.errors import HilumError
from hilum.film.given import Film, ValueRange, given_film
from hilum.film.radiograph import Radiograph
from hilum.report.notebook import answer_html, answers_html
from hilum.run.answer import Answer, UnreadFilm, outcome
from hilum.run.classifier import DISPLAY_PX
from hilum.run.heatmap import free_path, overlay, write_png
from hilum.run.writing import open_writer
from hilum.text import printable

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["Answers", "FilmAnswer"]


@dataclass(frozen=True, eq=False, repr=False)
class FilmAnswer(Answer):
    """What a model says of one film. In a notebook it shows the film, the heat map, a bar a finding and the verdict.

    Attributes:
        film: The film as it was given; None of a film of an iterator, which is not kept.
        value_range: The values of black and of white that were given with it.
    """

    film: Film | None = None
    value_range: ValueRange | None = None

    @classmethod
    def of(cls, answer: Answer, film: Film | None, value_range: ValueRange | None) -> FilmAnswer:
        """Return an answer that knows its film."""
        values = {one.name: getattr(answer, one.name) for one in dataclasses.fields(Answer)}
        return cls(**values, film=film, value_range=value_range)

    def to_dataframe(self) -> DataFrame:
        """Return a table with one row; see `Answers.to_dataframe`."""
        return Answers([self]).to_dataframe()

    def save(self, folder: AnyPath) -> None:
        """Write the answer into a new folder; see `Answers.save`."""
        Answers([self]).save(folder)

    def picture(self) -> Radiograph | None:
        """Return the film for people to look at; None where it was not kept or can no longer be read."""
        if self.film is None:
            return None
        try:
            return given_film(self.film, min_side_px=DISPLAY_PX, value_range=self.value_range)
        except HilumError:
            return None

    def _repr_html_(self) -> str:
        return answer_html(self, self.picture())


class Answers(Sequence[FilmAnswer | UnreadFilm]):
    """The answers for several films, in their order. A film that cannot be read has an `UnreadFilm` in its place.

    Example:
        >>> answers = hilum.load("run").predict("films/")  # doctest: +SKIP
        >>> answers[0].finding, len(answers)  # doctest: +SKIP
        ('Normal', 120)
        >>> answers.to_dataframe().groupby("finding").size()  # doctest: +SKIP
    """

    def __init__(self, answers: Iterable[FilmAnswer | UnreadFilm]) -> None:
        self._answers = tuple(answers)

    def __len__(self) -> int:
        """Return the number of films."""
        return len(self._answers)

    @overload
    def __getitem__(self, place: int) -> FilmAnswer | UnreadFilm: ...
    @overload
    def __getitem__(self, place: slice) -> Answers: ...
    def __getitem__(self, place: int | slice) -> FilmAnswer | UnreadFilm | Answers:
        """Return the answer for one film, or those of a slice."""
        return Answers(self._answers[place]) if isinstance(place, slice) else self._answers[place]

    def to_dict(self) -> dict[str, object]:
        """Return ``{"answers": [...]}`` with one object a film, as ``hilum predict --format jsonl`` writes them."""
        return {"answers": [one.to_dict() for one in self._answers]}

    def to_dataframe(self) -> DataFrame:
        """Return a table with one row a film and the columns of ``hilum predict --format csv``.

        Raises:
            MissingExtra: pandas is not installed.
        """
        return read_frame(self._written("csv"))

    def save(self, folder: AnyPath) -> None:
        """Write answers.jsonl, answers.csv and ``heatmaps/``, a picture for each film that was kept.

        Args:
            folder: A new or empty folder; nothing is written over.

        Raises:
            InputError: The folder holds something, or it cannot be written to.
        """
        with new_folder(folder) as path:
            for kind in ("jsonl", "csv"):
                (path / f"answers.{kind}").write_text(self._written(kind), encoding="utf-8", newline="")
            taken: set[str] = set()
            (path / "heatmaps").mkdir()
            for one in self._answers:
                radiograph = one.picture() if isinstance(one, FilmAnswer) else None
                if isinstance(one, FilmAnswer) and radiograph is not None:
                    evidence = one.activation[list(one.probabilities).index(one.likeliest)]
                    write_png(free_path(path / "heatmaps", one.file, taken), overlay(radiograph, evidence))

    def __repr__(self) -> str:
        kinds = Counter(outcome(one.to_dict()) for one in self._answers)
        findings = Counter(one.finding for one in self._answers if isinstance(one, FilmAnswer) and one.finding)
        words = {"answered": "answered", "refused": "refused", "unread": "cannot be read"}
        said = [f"{kinds[kind]} {word}" for kind, word in words.items() if kinds[kind]]
        said += [f"{count} {name}" for name, count in findings.most_common()]
        return printable(f"<Answers for {len(self)} films: {', '.join(said)}>")

    def _repr_html_(self) -> str:
        return answers_html([one.to_dict() for one in self._answers])

    def _written(self, kind: str) -> str:
        """Return the answers as text, as `hilum predict` writes them."""
        judged = [one for one in self._answers if isinstance(one, FilmAnswer)]
        findings = list(judged[0].probabilities) if judged else []
        text = io.StringIO()
        has_members = any(one.disagreement is not None for one in judged)
        writer = open_writer(kind, text, None, findings, has_members=has_members)
        for one in self._answers:
            writer.write(one.to_dict())
        writer.close()
        return text.getvalue()
