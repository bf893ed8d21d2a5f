"""The files of the web page, and the page at /docs that shows what programs can ask. Nothing comes from elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request, Response
from jinja2 import Environment, PackageLoader

__all__ = ["HTML", "PageFile", "describe_access", "page_files", "page_route", "reference_page"]

HTML = "text/html; charset=utf-8"
_FILES = {
    "/": ("index.html", HTML),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/docs.css": ("docs.css", "text/css; charset=utf-8"),
    "/shared.js": ("shared.js", "text/javascript; charset=utf-8"),
    "/script.js": ("script.js", "text/javascript; charset=utf-8"),
    "/saving.js": ("saving.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


@dataclass(frozen=True)
class PageFile:
    """A file of the page; ``etag`` changes with its content."""

    content: bytes
    media_type: str

    @property
    def etag(self) -> str:
        """A name of the content for HTTP."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:16]}"'


def page_files(named: Mapping[str, tuple[str, str]] = _FILES) -> dict[str, PageFile]:
    """Return a page's files by their path on the server; ``named`` gives each one's name and media type."""
    folder = files("hilum.serve").joinpath("assets")
    return {
        path: _page(name) if media_type == HTML else PageFile(folder.joinpath(name).read_bytes(), media_type)
        for path, (name, media_type) in named.items()
    }


def _page(template: str, **values: Any) -> PageFile:
    """Return a page of the server, in the frame that all of them have."""
    environment = Environment(
        loader=PackageLoader("hilum.serve", "assets"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return PageFile(environment.get_template(template).render(values).encode(), HTML)


def page_route(file: PageFile) -> Callable[[Request], Awaitable[Response]]:
    """Return the function that answers with a file, or with 304 where the browser has it already."""
    etag = file.etag

    async def answer(request: Request) -> Response:
        headers = {"etag": etag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(file.content, media_type=None, headers={**headers, "content-type": file.media_type})

    return answer


def describe_access(
    api: FastAPI, *, needs_token: bool, open_paths: Iterable[str], root_path: str = ""
) -> dict[str, Any]:
    """Complete the OpenAPI document of a service with its server and its token, and return it.

    Args:
        api: The service with all its paths.
        needs_token: Whether the server was started with a token. Without one, it takes any token or none.
        open_paths: The paths that never need a token.
        root_path: The path below which a proxy shows the service; "" for none.
    """
    document = api.openapi()
    document["servers"] = [{"url": root_path or "/", "description": "The server that gave this document."}]
    document["components"]["securitySchemes"] = {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "The token that the server was started with (HILUM_TOKEN).",
        }
    }
    document["security"] = [{"token": []}] if needs_token else [{}, {"token": []}]
    for path in set(open_paths) & set(document["paths"]):
        for operation in document["paths"][path].values():
            operation["security"] = []
    api.openapi = lambda: document  # type: ignore[method-assign]  # FastAPI would make it anew for each later route
    return document


def reference_page(document: Mapping[str, Any]) -> PageFile:
    """Return the page that shows an OpenAPI document to people: paths, parameters, answers and objects."""
    return _page("docs.html", document=document, type_of=_type_of)


def _type_of(schema: Mapping[str, Any]) -> str:
    """Return the type of a value of an OpenAPI document in a few words.

    Example:
        >>> _type_of({"anyOf": [{"type": "string"}, {"type": "null"}]})
        'string or null'
        >>> _type_of({"type": "array", "items": {"$ref": "#/components/schemas/Reason"}})
        'list of Reason'
    """
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_type_of(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f'"{one}"' for one in schema["enum"])
    if schema.get("format") == "binary":
        return "file"
    if schema.get("type") == "array":
        return f"list of {_type_of(schema['items'])}"
    values = schema.get("additionalProperties")
    if isinstance(values, Mapping) and values:
        return f"object of {_type_of(values)}"
    return str(schema.get("type", "any value"))
