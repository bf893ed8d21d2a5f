"""Pages of the site that are made while it is built: the command line, the Python API, JSON files and the changelog."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import typer.main
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import hilum.api
from hilum.cli import app
from hilum.train.config import default_config
from hilum.train.config_file import to_toml

ROOT = Path(__file__).parents[1]
_BAR = "\\|"  # a bar within a cell of a table


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to those of docs/."""
    pages = {
        "reference/commands.md": commands_page(),
        "reference/json.md": schemas_page(),
        "reference/python.md": python_page(),
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
    }
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the default settings where a page asks for them."""
    return markdown.replace("<!-- defaults -->", f"```toml\n{to_toml(default_config()).strip()}\n```")


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Refuse a page that loads something from elsewhere.

    Raises:
        PluginError: A script, style sheet or picture has an address on the internet.
    """
    if found := re.search(r"""<(script|link|img)[^>]+(src|href)=["']?(https?:)?//[^>]*""", output):
        raise PluginError(f"{page.file.src_uri} loads something from elsewhere: {found[0]}")
    return output


def commands_page() -> str:
    """Return a page with a heading and a table for every command, from what its --help says."""
    parts = [
        "# Commands",
        "This page is made from the command line itself: `hilum COMMAND --help` says the same.",
        *(
            part
            for name, command in _commands("hilum", typer.main.get_command(app))
            for part in _section(name, command)
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    for word, inner in getattr(command, "commands", {}).items():
        yield from _commands(f"{name} {word}", inner)


def _section(name: str, command: Any) -> Iterator[str]:
    """Yield heading, usage, text and options of one command."""
    context = command.make_context(name, [], resilient_parsing=True)
    yield f"## {name}"
    yield f"```\n{command.get_usage(context).removeprefix('Usage: ')}\n```"
    for text in (command.help or "").split("\n\n"):
        lead, _, shown = text.partition("Example: ")
        yield f"{_cell(lead)}Example:\n\n```sh\n{' '.join(shown.split())}\n```" if shown else _cell(text)
    records = [record for parameter in command.params if (record := parameter.get_help_record(context))]
    rows = [f"| `{words.replace('|', _BAR)}` | {_cell(text)} |" for words, text in records]
    yield "\n".join(["| argument or option | meaning |", "|---|---|", *rows])


def _cell(text: str) -> str:
    """Return a text on one line, with nothing in it that Markdown would take for a mark."""
    return " ".join(text.split()).replace("|", _BAR).replace("<", "&lt;").replace("*", "\\*")


def python_page() -> str:
    """Return a page with a heading, the signature and the docstring of everything that `import hilum` gives."""
    parts = [
        "# Python",
        "This page is made from the docstrings: `help(hilum.load)` says the same. "
        "[How to use hilum from Python](../how-to/python.md) shows it at work.",
    ]
    public = {name: getattr(hilum.api, name) for name in hilum.__all__ if not name.startswith("_")}
    for name, thing in sorted(public.items(), key=lambda one: (inspect.isclass(one[1]), one[0])):
        parts += _documented(f"hilum.{name}", thing, level=2)
        if inspect.isclass(thing):
            for inner, member in inspect.getmembers(thing):
                if not inner.startswith("_") and _is_documented(member):
                    parts += _documented(f"{name}.{inner}", member, level=3)
    return "\n\n".join(parts) + "\n"


def _is_documented(member: Any) -> bool:
    """Return whether a member is one of the API's own, and not one that it inherits from the rooms below."""
    function = member.fget if isinstance(member, property) else member
    return str(getattr(function, "__module__", "")).startswith("hilum.api") and bool(inspect.getdoc(member))


def _documented(name: str, thing: Any, *, level: int) -> Iterator[str]:
    """Yield heading, signature and docstring; a section of a docstring becomes a list."""
    yield f"{'#' * level} {name}"
    if inspect.isroutine(thing):
        signature = str(inspect.signature(thing)).replace("'", "").replace("(self)", "()").replace("(self, ", "(")
        if len(signature) > 80:
            signature = re.sub(r", (?=\w+: |\*|/)", ",\n    ", signature)
        yield f"```python\n{name}{signature}\n```"
    for part in inspect.cleandoc(thing.__doc__ or "").split("\n\n"):
        title, _, rest = part.partition("\n")
        lines = inspect.cleandoc(rest)
        if title == "Example:":
            yield f"Example:\n\n```python\n{re.sub(r'  # doctest: .SKIP', '', lines)}\n```"
        elif title in ("Args:", "Returns:", "Raises:", "Attributes:"):
            entries = re.sub(r"\n +", " ", f"\n{lines}").strip().split("\n")
            yield f"{title}\n\n" + "\n".join(f"- {_entry(one)}" for one in entries)
        else:
            yield _prose(part)


def _entry(text: str) -> str:
    """Return a line of a section: the names before its colon are code."""
    names, colon, words = text.partition(": ")
    return f"`{names}`: {_prose(words)}" if colon and re.fullmatch(r"[\w, ]+", names) else _prose(text)


def _prose(text: str) -> str:
    return " ".join(text.replace("``", "`").split()).replace("<", "&lt;")


def schemas_page() -> str:
    """Return a page with a table of keys for every JSON that hilum writes, from the schemas in the package."""
    parts = [
        "# JSON files",
        "This page is made from the JSON Schemas in `src/hilum/schemas`. Keys may be added to any object. No key is "
        "renamed or dropped. I stands for an interval: `value`, `low` and `high`, with 95\u00a0% confidence.",
    ]
    for path in sorted(resources.files("hilum.schemas").iterdir(), key=lambda path: path.name):
        if path.name.endswith(".json"):
            parts += _schema_section(path.name, json.loads(path.read_text(encoding="utf-8")))
    return "\n\n".join(parts) + "\n"


def _schema_section(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"## {schema['title']} {{#{name.removesuffix('.json')}}}"
    yield schema.get("description", "")
    if schema.get("properties"):
        yield _key_table(schema)
    for definition, inner in schema.get("$defs", {}).items():
        if inner.get("properties"):
            yield f"### {definition} {{#{name.removesuffix('.json')}-{definition}}}"
            yield inner.get("description", "")
            yield _key_table(inner)


def _key_table(schema: dict[str, Any]) -> str:
    return "\n".join(["| key | type | meaning |", "|---|---|---|", *_key_rows(schema, "")])


def _key_rows(schema: dict[str, Any], prefix: str) -> Iterator[str]:
    """Yield a line for each key of an object, those of the objects inside it after it."""
    needed = schema.get("required", ())
    for key, inner in schema.get("properties", {}).items():
        optional = "" if key in needed else "May be absent. "
        yield f"| `{prefix}{key}` | {_kind(inner)} | {optional}{_cell(inner.get('description', ''))} |"
        yield from _key_rows(inner, f"{prefix}{key}.")
        yield from _key_rows(inner.get("items", {}), f"{prefix}{key}[].")
        more = inner.get("additionalProperties")
        yield from _key_rows(more if isinstance(more, dict) else {}, f"{prefix}{key}.NAME.")


def _kind(schema: dict[str, Any]) -> str:
    """Return the type of a value in a few words."""
    if reference := schema.get("$ref"):
        file, _, path = str(reference).partition("#")
        name = path.rpartition("/")[2] or file
        return "I" if name == "Interval" else name
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    if several := schema.get("oneOf") or schema.get("anyOf"):
        return " or ".join(dict.fromkeys(_kind(one) for one in several))
    kinds = schema.get("type", "any value")
    names = [kinds] if isinstance(kinds, str) else kinds
    if "array" in names and schema.get("items"):
        return f"list of {_kind(schema['items'])}"
    more = schema.get("additionalProperties")
    if "object" in names and isinstance(more, dict) and "properties" not in more:
        return f"NAME: {_kind(more)}"
    return " or ".join(names)
