"""Fills the templates in report/templates, and puts the frame of a page around its sections.

A page is one file: style inside, no script, nothing loaded from anywhere. Words stand in the templates; Python
functions prepare the values. Whatever a template prints is escaped, unless it is ``Markup`` that a template has made.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hilum.console import count_of
from hilum.judge.verdict import judge_calibration
from hilum.text import (
    escape,
    figure_text,
    interval_words,
    percent,
    percent_text,
    points,
    points_range,
    printable,
    range_text,
)
from hilum.version import NOTICE

__all__ = ["Section", "html_page", "inline", "render"]


@dataclass(frozen=True)
class Section:
    """A section of the page that another module has written.

    Attributes:
        anchor: Its id on the page.
        heading: Plain text.
        html: Its content, from `render`; whatever comes from the data is escaped already.
    """

    anchor: str
    heading: str
    html: str


def render(template: str, **values: object) -> Markup:
    """Return a filled template.

    Numbers have filters: ``percent`` (97.0), ``per_cent`` (97.0 %), ``range`` (limits in per cent), ``figure`` (a value
    in per cent with its limits), ``points``, ``points_range``, ``decimal`` (two digits); bytes have ``base64``. A name
    without a value is an error.

    Args:
        template: Name of a file in report/templates.
        values: What it shows. Text is plain text: a page escapes it as `hilum.text.escape` does, Markdown as `inline`.
    """
    environment = _environment(is_markdown=template.endswith(".md.j2"))
    return Markup(environment.get_template(template).render(values))


def html_page(
    title: str,
    kicker: str,
    opening: str,
    sections: Sequence[Section],
    *,
    styles: Sequence[str] = ("report.css",),
    footer: str = "",
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
    shown = [section for section in sections if section.html]
    frame = {"title": title, "kicker": kicker, "opening": opening, "styles": styles, "footer": footer}
    return str(render("base.html.j2", sections=shown, **frame))


def inline(value: object, *, is_code: bool = False) -> str:
    """Return text that stays on its line and in its cell, in Markdown.

    Args:
        value: Any text.
        is_code: Whether it stands between backquotes or in a block of code, where nothing is escaped.
    """
    words = printable(re.sub(r"\s+", " ", str(value)).strip())
    return words if is_code else re.sub(r"([\\|<>`*\[\]])", r"\\\1", words)


@cache
def _environment(*, is_markdown: bool = False) -> Environment:
    environment = Environment(
        loader=PackageLoader("hilum.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_plain_markdown if is_markdown else _escaped,
        keep_trailing_newline=is_markdown,
    )
    numbers: Mapping[str, Callable[..., str]] = {
        "percent": percent,
        "per_cent": percent_text,
        "range": range_text,
        "figure": figure_text,
        "points": points,
        "points_range": points_range,
        "interval_words": interval_words,
        "decimal": _decimal,
        "printable": printable,
    }
    environment.filters.update(numbers)
    environment.filters["count_of"] = count_of
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode("ascii")
    environment.filters["code"] = lambda text: Markup(inline(text, is_code=True))
    environment.globals |= {"NOTICE": NOTICE, "judge_calibration": judge_calibration}
    return environment


def _decimal(value: float | None) -> str:
    """Return a number with two digits after the point: no minus nought."""
    return f"{round(value or 0.0, 2) + 0.0:.2f}".replace("-", "−")


def _escaped(value: object) -> object:
    """Return a value that a page prints: plain text escaped, control and bidirectional characters included."""
    return value if _is_safe(value) else Markup(escape(str(value)))


def _plain_markdown(value: object) -> object:
    """Return a value that a Markdown file prints: plain text made to stay on its line and in its cell."""
    return value if _is_safe(value) else Markup(inline(value))


def _is_safe(value: object) -> bool:
    return hasattr(value, "__html__") or not isinstance(value, str)
