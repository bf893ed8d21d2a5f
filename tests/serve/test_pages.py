"""The page for programs says all that the OpenAPI document says, and needs nothing from elsewhere."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

import pytest

TOKEN = "a-token-of-the-tests"


@pytest.mark.parametrize("token", [None, TOKEN])
def test_the_page_for_programs_names_all_there_is(open_client: Callable[..., Any], token: str | None) -> None:
    client = open_client(token=token)
    answer = client.get("/docs")  # never needs the token
    page = html.unescape(answer.text)
    document = client.get("/openapi.json", headers={"authorization": f"Bearer {TOKEN}"}).json()
    assert answer.headers["content-type"].startswith("text/html")
    assert not re.search(r"https?://(?!HOST:PORT)|<script|\sstyle=", page)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert f"<code>{path}</code>" in page
            assert f"<p>{operation['summary']}." in page
            for one in operation.get("parameters", []):
                assert f"<code>{one['name']}</code>" in page
            assert all(one["description"] in page for one in operation["responses"].values())
    for name, shape in document["components"]["schemas"].items():
        assert f'<h3 id="{name}">' in page
        assert all(f"<code>{key}</code>" in page for key in shape["properties"])
        assert all(one.get("description", "") in page for one in shape["properties"].values())
    assert all(f'id="{target}"' in page for target in re.findall(r'href="#([^"]+)"', page))
    assert ("Authorization: Bearer" in page) == (token is not None)


def test_the_page_for_programs_is_not_sent_twice(open_client: Callable[..., Any]) -> None:
    client = open_client()
    first = client.get("/docs")
    again = client.get("/docs", headers={"if-none-match": first.headers["etag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
