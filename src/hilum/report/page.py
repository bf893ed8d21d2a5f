"""The frame of every page hilum writes: one file, style inside, no script, nothing loaded from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from hilum.text import escape

__all__ = ["NOTICE", "Section", "html_page"]

NOTICE = "Research software, not a medical device."


@dataclass(frozen=True)
class Section:
    """A section of the page that another module has written.

    Attributes:
        anchor: Its id on the page.
        heading: Plain text.
        html: Its content; whatever comes from the data is escaped already.
    """

    anchor: str
    heading: str
    html: str


def html_page(
    title: str, kicker: str, opening: str, sections: Sequence[Section], *, styles: Sequence[str], footer: str = ""
) -> str:
    """Return a whole page.

    Args:
        title: The heading, plain text.
        kicker: What kind of page it is, plain text.
        opening: HTML between the heading and the first section, escaped by the caller.
        sections: Those without content are left out.
        styles: Names of style sheets in templates/.
        footer: HTML below everything, escaped by the caller.

    Returns:
        HTML whose own content policy forbids it to load anything.
    """
    templates = files("hilum.report") / "templates"
    style = "\n".join((templates / name).read_text(encoding="utf-8") for name in styles)
    shown = [section for section in sections if section.html]
    links = "".join(f'<li><a href="#{one.anchor}">{escape(one.heading)}</a></li>' for one in shown)
    body = "".join(
        f'<section id="{one.anchor}" aria-labelledby="{one.anchor}-heading">'
        f'<h2 id="{one.anchor}-heading">{escape(one.heading)}</h2>{one.html}</section>\n'
        for one in shown
    )
    ending = f'<footer><p class="fine">{footer}</p></footer>' if footer else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title>\n<style>\n{style}</style></head>\n<body>"
        f'<p class="notice" role="note">{NOTICE}</p>\n<main><header><p class="kicker">{escape(kicker)}</p>'
        f'<h1>{escape(title)}</h1><nav aria-label="Sections"><ul>{links}</ul></nav></header>\n'
        f"{opening}\n{body}</main>\n{ending}</body></html>\n"
    )
