"""The frame of every page hilum writes: one file, style inside, no script, nothing loaded from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files

from hilum.judge.report import NOTICE, Section

__all__ = ["html_page"]


def html_page(title: str, kicker: str, opening: str, sections: Sequence[Section], *, styles: Sequence[str]) -> str:
    """Return a whole page.

    Args:
        title: The heading, plain text.
        kicker: What kind of page it is, plain text.
        opening: HTML between the heading and the first section, escaped by the caller.
        sections: Those without content are left out.
        styles: Names of style sheets in templates/.

    Returns:
        HTML whose own content policy forbids it to load anything.
    """
    templates = files("hilum.judge") / "templates"
    style = "\n".join((templates / name).read_text(encoding="utf-8") for name in styles)
    shown = [section for section in sections if section.html]
    links = "".join(f'<li><a href="#{one.anchor}">{escape(one.heading)}</a></li>' for one in shown)
    body = "".join(
        f'<section id="{one.anchor}" aria-labelledby="{one.anchor}-heading">'
        f'<h2 id="{one.anchor}-heading">{escape(one.heading)}</h2>{one.html}</section>\n'
        for one in shown
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title>\n<style>\n{style}</style></head>\n<body>"
        f'<p class="notice" role="note">{NOTICE}</p>\n<main><header><p class="kicker">{escape(kicker)}</p>'
        f'<h1>{escape(title)}</h1><nav aria-label="Sections"><ul>{links}</ul></nav></header>\n'
        f"{opening}\n{body}</main>\n</body></html>\n"
    )
