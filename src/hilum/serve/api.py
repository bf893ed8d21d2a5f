"""The REST service. It gives the same answers as the command line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.types import Receive as StarletteReceive
from starlette.types import Scope, Send

from hilum.errors import nearest_name
from hilum.report.drift import drift_lines
from hilum.run.answer import UnreadFilm
from hilum.run.classifier import Classifier
from hilum.serve.answer_counts import DAYS, METRIC_HEAD
from hilum.serve.api_errors import ERRORS, ErrorAnswers
from hilum.serve.guard import Access, App, Guard
from hilum.serve.httperror import HttpError, error_body, error_status, shutting_down
from hilum.serve.limits import Limits
from hilum.serve.metrics import METRICS_TYPE, Metrics
from hilum.serve.pages import describe_access, page_files, page_route, reference_page
from hilum.serve.queue import FilmQueue, JudgedFilm, Pictures
from hilum.serve.schema import DriftBody, ErrorBody, Health, ModelCard, Predictions
from hilum.serve.served_model import model_named, serve_models, to_json_bytes
from hilum.serve.uploads import FIELD, Bodies, ClientLeft, Receive, read_uploads, too_large
from hilum.version import NOTICE, __version__

__all__ = ["Service"]

_JSON = "application/json"
_HEALTH = ("/healthz", "/readyz")  # they never need a token
_CLIENT_LEFT = 499  # for the metrics only; the client has left
_MODEL_WORDS = "The name of the model, one of `models` in its card; the first model if absent."
_DESCRIPTION = (
    "Judges chest radiographs: gives a calibrated probability for each finding, or the reason why a film is "
    f"refused. {NOTICE}"
)
_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": [FIELD],
                "properties": {
                    FIELD: {
                        "type": "array",
                        "minItems": 1,
                        "items": {"type": "string", "format": "binary"},
                        "description": "Films: PNG, JPEG or DICOM. The type is detected from the content.",
                    }
                },
            }
        }
    },
}


class Service:
    """One or more classifiers behind HTTP.

    Args:
        classifiers: The models. The first one answers requests that name none.
        token: The token that clients must send; None if only this computer can reach the server.
        limits: The limits of the server.
        root_path: The path below which a proxy shows the server, such as ``/hilum``; "" for none.
        counts_folder: Where answers are counted by day; None to count them since the start only.

    Raises:
        ModelFileError: A model's figures are not valid JSON.
    """

    def __init__(
        self,
        *classifiers: Classifier,
        token: str | None = None,
        limits: Limits | None = None,
        root_path: str = "",
        counts_folder: Path | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.draining = False
        self.models = serve_models(classifiers, self.limits, counts_folder)
        self.metrics = Metrics(*(model.classifier.identity for model in self.models))
        self.bodies = Bodies(self.limits.bodies_bytes)
        self.queue = FilmQueue(self.models, self.limits, self.metrics)
        self.metrics.watch(queue_films=lambda: self.queue.num_films, bodies_bytes=lambda: self.bodies.num_bytes)
        self.api = self._api()
        document = describe_access(self.api, needs_token=token is not None, open_paths=_HEALTH, root_path=root_path)
        pages = {**page_files(), "/docs": reference_page(document)}
        for path, file in pages.items():
            self.api.add_api_route(path, page_route(file), methods=["GET", "HEAD"], include_in_schema=False)
        known = frozenset((*pages, *document["paths"], "/openapi.json"))
        access = Access(token, frozenset((*pages, *_HEALTH)), known, root_path)
        self.app: App = Guard(self.api, access, metrics=self.metrics, limits=self.limits)

    def _api(self) -> FastAPI:
        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            yield
            await asyncio.to_thread(self.queue.close)
            for model in self.models:
                model.counter.write()

        api = FastAPI(
            title="hilum",
            version=__version__,
            description=_DESCRIPTION,
            docs_url=None,  # both would load scripts from the internet; see `reference_page`
            redoc_url=None,
            redirect_slashes=False,
            lifespan=lifespan,
        )
        ErrorAnswers(self.metrics).add_to(api)
        self._add_routes(api)
        return api

    def _add_routes(self, api: FastAPI) -> None:
        errors: dict[int | str, dict[str, Any]] = {
            status: {"model": ErrorBody, "description": text} for status, text in ERRORS.items()
        }
        every: dict[int | str, dict[str, Any]] = {status: errors[status] for status in (401, 403, 500)}
        api.add_api_route(
            "/v1/predictions",
            self._predictions,
            methods=["POST"],
            operation_id="predict",
            summary="Judge one film or many",
            response_model=None,
            responses={200: {"model": Predictions, "description": "One object for each film, in order."}, **errors},
            openapi_extra={"requestBody": _BODY},
        )
        state: dict[int | str, dict[str, Any]] = {
            200: {"model": Health},
            **{status: errors[status] for status in (403, 500, 503)},
        }
        named = {**every, 422: errors[422]}
        figures = {200: {"content": {"text/plain": {}}}, **every}
        for path, method, summary, responses in (
            ("/v1/model", self._model, "Card, figures and findings of the model", {200: {"model": ModelCard}, **named}),
            (
                "/v1/drift",
                self._drift,
                "Whether the answers to recent films differ from those of the model's evaluation",
                {200: {"model": DriftBody}, **named},
            ),
            ("/healthz", self._healthz, "Whether the server is running", state),
            ("/readyz", self._readyz, "Whether the server accepts films; 503 while it shuts down", state),
            ("/metrics", self._metrics, "Figures for Prometheus", figures),
        ):
            api.add_api_route(
                path,
                method,
                methods=["GET"],
                operation_id=path.rpartition("/")[2],
                summary=summary,
                response_class=PlainTextResponse if path == "/metrics" else JSONResponse,
                response_model=None,
                responses=responses,
            )

    async def _predictions(
        self,
        request: Request,
        heatmap: Annotated[bool, Query(description="Put the heat map into each answer, as a PNG data URI.")] = False,
        display: Annotated[
            bool, Query(description="Put the film and a layer of evidence for each finding into each answer.")
        ] = False,
        model: Annotated[str | None, Query(description=_MODEL_WORDS)] = None,
    ) -> Response:
        known = ("heatmap", "display", "model")
        for key in request.query_params:
            if key not in known:
                raise HttpError(422, "InvalidParameter", f"Unknown parameter `{key}`.", fix=nearest_name(key, known))
        chosen = model_named(self.models, model)
        self.queue.check_room()
        if _stated_length(request) > self.limits.body_bytes:
            raise too_large(self.limits)
        try:
            with self.bodies.body() as body:
                films = await read_uploads(request.headers.get("content-type", ""), request.receive, body, self.limits)
                futures = self.queue.submit(films, Pictures(heatmap=heatmap, display=display), chosen)
                judged = await self._answers(futures, request.receive)
        except ClientLeft:
            return Response(status_code=_CLIENT_LEFT)
        unread = [film.answer for film in judged if isinstance(film.answer, UnreadFilm)]
        if len(unread) == len(judged):
            return self._none_read(unread)
        shown = {"predictions": [film.to_dict() for film in judged]}
        content = await asyncio.to_thread(to_json_bytes, shown) if heatmap or display else to_json_bytes(shown)
        return _HeldResponse(content, self.bodies)

    async def _answers(self, futures: list[Future[JudgedFilm]], receive: Receive) -> list[JudgedFilm]:
        """Wait for the answers until the client leaves or the time is over."""

        async def client_leaves() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        answers = asyncio.gather(*(asyncio.wrap_future(future) for future in futures))
        leaving = asyncio.ensure_future(client_leaves())
        try:
            waited: set[asyncio.Future[Any]] = {answers, leaving}
            await asyncio.wait(waited, timeout=self.limits.answer_seconds, return_when=asyncio.FIRST_COMPLETED)
            if answers.done():
                return answers.result()
            raise ClientLeft if leaving.done() else self.queue.busy()
        finally:
            leaving.cancel()
            answers.cancel()  # cancels the films that have not been started

    def _none_read(self, unread: list[UnreadFilm]) -> Response:
        """Return one error for all films, and the error of each film under `predictions`."""
        error = unread[0].error
        if len(unread) > 1:
            same = len({(error_status(film.error), film.error.to_dict()["type"]) for film in unread}) == 1
            error = HttpError(
                error_status(error) if same else 422,
                error.to_dict()["type"] if same else "UndecodableFilm",
                f"None of the {len(unread)} films could be read.",
                fix="See the error of each film under `predictions`.",
            )
        self.metrics.turned_away(error.to_dict()["type"])
        body = error_body(error, predictions=[film.to_dict() for film in unread])
        return Response(body, status_code=error_status(error), media_type=_JSON)

    async def _model(self, model: Annotated[str | None, Query(description=_MODEL_WORDS)] = None) -> Response:
        return Response(model_named(self.models, model).card, media_type=_JSON)

    async def _drift(self, model: Annotated[str | None, Query(description=_MODEL_WORDS)] = None) -> Response:
        chosen = model_named(self.models, model)
        drift = await asyncio.to_thread(chosen.counter.drift)
        if drift is None:
            lines = ["The model file does not say how the model answered in its evaluation. Use `hilum drift`."]
            return Response(to_json_bytes({"is_different": None, "lines": lines}), media_type=_JSON)
        lines = drift_lines(drift, when=f"of the last {DAYS} days" if chosen.counter.has_days else "since the start")
        said = {"is_different": drift.is_different, **asdict(drift), "lines": lines}
        return Response(to_json_bytes(said), media_type=_JSON)

    async def _healthz(self) -> Response:
        return Response(b'{"status":"ok"}', media_type=_JSON)

    async def _readyz(self) -> Response:
        if self.draining:
            raise shutting_down()
        return Response(b'{"status":"ready"}', media_type=_JSON)

    async def _metrics(self) -> Response:
        counts = "".join(model.counter.metrics_text(model.name) for model in self.models)
        text = self.metrics.text() + f"{METRIC_HEAD}{counts}".encode()
        return Response(text, headers={"content-type": METRICS_TYPE})


class _HeldResponse(Response):
    """A response whose bytes count against the memory limit until the client has read them."""

    def __init__(self, content: bytes, bodies: Bodies) -> None:
        super().__init__(content, media_type=_JSON)
        self._bodies = bodies

    async def __call__(self, scope: Scope, receive: StarletteReceive, send: Send) -> None:
        with self._bodies.body() as held:
            held.take(len(self.body))
            await super().__call__(scope, receive, send)


def _stated_length(request: Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isdigit() else 0
