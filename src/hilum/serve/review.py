"""The page of `hilum review`: doubtful films one by one, and what a person decides on them.

The page listens on this computer alone. It serves only the films of the doubts, by number, never by path.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from hilum.console import Console, count_of
from hilum.data.decisions import Choice, Decision, Decisions, review_files
from hilum.errors import HilumError
from hilum.film.decode import read_film
from hilum.judge.audit.check import SEVERITIES
from hilum.judge.audit.doubts import Doubt
from hilum.run.classifier import Classifier
from hilum.serve.guard import Access, App, Guard
from hilum.serve.httperror import HttpError, error_body, error_status
from hilum.serve.limits import Limits
from hilum.serve.metrics import Metrics
from hilum.serve.pages import HTML, page_files, page_route
from hilum.serve.pictures import film_png, heat_png
from hilum.serve.server import Server, listen
from hilum.text import printable

__all__ = ["DEFAULT_PORT", "Review", "ReviewService", "run_review"]

DEFAULT_PORT = 8001
_FILM_PX = 1024
_FILES = {
    "/": ("review.html", HTML),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/review.css": ("review.css", "text/css; charset=utf-8"),
    "/shared.js": ("shared.js", "text/javascript; charset=utf-8"),
    "/review.js": ("review.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


@dataclass(frozen=True, eq=False)
class Review:
    """What is reviewed.

    Attributes:
        name: The data set's name.
        root: The folder that the films' paths are relative to.
        doubts: In the order in which they are shown.
        decisions: What is decided so far.
        findings: What a film can be labelled as.
        parts: Path to the part of a film, such as "test", where it is known.
        folder: Where the decisions are kept.
        who: The person.
        classifier: Draws the heat maps; None: there are none.
    """

    name: str
    root: Path
    doubts: tuple[Doubt, ...]
    decisions: Decisions
    findings: tuple[str, ...]
    parts: dict[str, str]
    folder: Path
    who: str
    classifier: Classifier | None = None

    def settled(self) -> list[str]:
        """Return the choice on each doubt; "" where it is open, "moot" where one of its films is left out already."""
        made, dropped = self.decisions.in_effect(), self.decisions.dropped()
        return [
            made[doubt.key].choice if doubt.key in made else "moot" if dropped & set(doubt.paths) else ""
            for doubt in self.doubts
        ]

    def decide(self, number: int, choice: Choice, finding: str, films: Sequence[int]) -> None:
        """Keep a decision on a doubt.

        Args:
            number: Of the doubt.
            choice: What is decided.
            finding: The new label of the films; only for "relabel".
            films: Positions of the films in the doubt that it is about.

        Raises:
            HttpError: The finding or a position is none of those that can be chosen.
            InputError: The decision cannot be written.
        """
        doubt = self.doubts[number]
        if not films or not set(films) <= set(range(len(doubt.paths))):
            raise HttpError(422, "InvalidParameter", "Mark the films that the decision is about.")
        if (choice == "relabel") != (finding in self.findings):
            raise HttpError(422, "InvalidParameter", "To relabel a film, choose one of the findings of the data set.")
        label = finding
        if choice == "undecided" and len(doubt.findings) > 1:
            label = "|".join(doubt.findings)
        paths = tuple(doubt.paths[position] for position in sorted(set(films)))
        self.decisions.add(Decision(doubt.key, choice, paths, label, self.who))


class _Decided(BaseModel):
    """The body of a decision."""

    choice: Choice
    films: list[int]
    finding: str = ""


class ReviewService:
    """A review behind HTTP; `hilum.serve.server.Server` serves it."""

    def __init__(self, review: Review, limits: Limits | None = None) -> None:
        self.draining = False
        self.limits = limits or Limits()
        self._review, self._lock = review, threading.Lock()
        api = FastAPI(title="hilum review", docs_url=None, redoc_url=None, openapi_url=None)
        for kind in (HilumError, HTTPException, RequestValidationError):
            api.add_exception_handler(kind, _on_error)
        pages = page_files(_FILES)
        for path, file in pages.items():
            api.add_api_route(path, page_route(file))
        api.add_api_route("/v1/doubts", self._next_open)
        api.add_api_route("/v1/doubts/{number}", self._doubt)
        api.add_api_route("/v1/doubts/{number}", self._decide, methods=["POST"])
        api.add_api_route("/v1/undo", self._undo, methods=["POST"])
        api.add_api_route("/v1/films/{number}/{position}", self._film)
        api.add_api_route("/v1/heat/{number}/{position}", self._heat)
        self.app: App = Guard(api, Access(known_paths=frozenset(pages)), metrics=Metrics(), limits=self.limits)

    def _next_open(self, after: int = -1) -> dict[str, Any]:
        """Return the first open doubt after a number, going round; the last one where all are settled."""
        settled = self._review.settled()
        numbers = [*range(after + 1, len(settled)), *range(min(after + 1, len(settled)))]
        return self._state(next((n for n in numbers if not settled[n]), max(0, min(after, len(settled) - 1))))

    def _doubt(self, number: int) -> dict[str, Any]:
        self._found(number)
        return self._state(number)

    def _decide(self, number: int, decided: _Decided) -> dict[str, Any]:
        with self._lock:
            self._found(number)
            self._review.decide(number, decided.choice, decided.finding, decided.films)
        return self._next_open(number)

    def _undo(self) -> dict[str, Any]:
        with self._lock:
            last = self._review.decisions.undo()
        keys = [doubt.key for doubt in self._review.doubts]
        return self._state(keys.index(last.doubt)) if last and last.doubt in keys else self._next_open()

    def _film(self, number: int, position: int) -> Response:
        film = read_film(self._path(number, position), min_side_px=_FILM_PX)
        return Response(film_png(film), media_type="image/png")

    def _heat(self, number: int, position: int) -> Response:
        classifier, suggestion = self._review.classifier, self._found(number).suggestion
        if classifier is None or suggestion not in classifier.findings:
            raise HttpError(404, "NotFound", "There is no heat map of this film.")
        film = classifier.read(self._path(number, position))
        activation = classifier.predict(film).activation[classifier.findings.index(suggestion)]
        return Response(heat_png(film, activation), media_type="image/png")

    def _found(self, number: int) -> Doubt:
        if not 0 <= number < len(self._review.doubts):
            raise HttpError(404, "NotFound", "There is no such doubt.")
        return self._review.doubts[number]

    def _path(self, number: int, position: int) -> Path:
        paths = self._found(number).paths
        if not 0 <= position < len(paths):
            raise HttpError(404, "NotFound", "There is no such film.")
        return self._review.root / paths[position]

    def _state(self, number: int) -> dict[str, Any]:
        """Return all that the page shows: the doubt with this number, and how far the review is."""
        review, settled = self._review, self._review.settled()
        progress = {name: [0, 0] for name in SEVERITIES}
        for doubt, choice in zip(review.doubts, settled, strict=True):
            progress[doubt.severity][0] += bool(choice)
            progress[doubt.severity][1] += 1
        return {
            "name": printable(review.name),
            "list": printable(str(review_files(review.folder)[1])),
            "findings": review.findings,
            "num_doubts": len(settled),
            "num_settled": sum(map(bool, settled)),
            "progress": progress,
            "can_undo": bool(review.decisions.made),
            "doubt": self._shown(number, settled[number]) if settled else None,
        }

    def _shown(self, number: int, choice: str) -> dict[str, Any]:
        review, doubt = self._review, self._review.doubts[number]
        made = review.decisions.in_effect().get(doubt.key)
        marked = [n for n, path in enumerate(doubt.paths) if path in made.films] if made else doubt.marked
        classifier = review.classifier
        return {
            "number": number,
            "severity": doubt.severity,
            "title": doubt.title,
            "reason": printable(doubt.reason),
            "meaning": doubt.meaning,
            "findings": doubt.findings,
            "suggestion": doubt.suggestion,
            "has_heat": classifier is not None and doubt.suggestion in classifier.findings,
            "choice": choice,
            "decided": {"finding": made.finding, "who": printable(made.who), "when": made.when} if made else None,
            "marked": marked,
            "films": [
                {
                    "path": printable(path),
                    "finding": review.decisions.finding_of(path),
                    "part": review.parts.get(path, ""),
                }
                for path in doubt.paths
            ],
        }


def run_review(review: Review, *, port: int = DEFAULT_PORT, console: Console | None = None) -> None:
    """Serve the page of a review to this computer until SIGINT or SIGTERM.

    Args:
        review: What is reviewed.
        port: 0 to 65535; 0 takes a free port and shows its number.
        console: Where the address is shown.

    Raises:
        InputError: The port cannot be listened on.
    """
    console = console or Console()
    service = ReviewService(review)
    num_open = review.settled().count("")
    with listen("127.0.0.1", port) as listener:
        console.say(f"{count_of(len(review.doubts), 'doubt')}, {num_open:,} still open.")
        console.say(f"hilum review is on http://127.0.0.1:{listener.getsockname()[1]}")
        console.say("Open this address in a browser on this computer. Every decision is kept at once. Ctrl-C ends it.")
        Server(service, service.limits).run_until_signal(listener)
    settled = review.settled()
    console.say(
        f"{len(settled) - settled.count(''):,} of {count_of(len(settled), 'doubt')} settled. "
        f"The list for other commands: {review_files(review.folder)[1]}"
    )


def _on_error(_: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        error = HttpError(error.status_code, "NotFound", "There is nothing at this path, or not for this method.")
    elif not isinstance(error, HilumError):
        error = HttpError(422, "InvalidParameter", "The body or a parameter is wrong.")
    return Response(error_body(error), status_code=error_status(error), media_type="application/json")
