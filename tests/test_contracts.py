"""What holds for all of the code: names, layers, errors, and what no file may say."""

from __future__ import annotations

import ast
import graphlib
import importlib
import inspect
import pickle
import pkgutil
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import hilum
import hilum.errors
from hilum.errors import HilumError, InputError, MissingExtra, nearest_name
from hilum.extras import install_line

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
MODULES = sorted(
    one.name for one in pkgutil.walk_packages(hilum.__path__, "hilum.") if not one.name.endswith("__main__")
)


# --- modules --------------------------------------------------------------------------------------------------------


def imported_names() -> dict[str, set[str]]:
    """Return module -> the names that other modules import from it."""
    found: dict[str, set[str]] = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                found.setdefault(node.module, set()).update(alias.name for alias in node.names)
    return found


def test_what_other_modules_import_is_public() -> None:
    """Ruff checks that __all__ is sound and documented; it does not see who imports what."""
    assert {"hilum.cli", "hilum.run.engine", "hilum.train.seal"} <= set(MODULES)
    imported = imported_names()
    for name in MODULES:
        module = importlib.import_module(name)
        if hasattr(module, "__path__"):
            continue
        here = {
            one
            for one in imported.get(name, set())
            if not one.startswith("_") and getattr(vars(module).get(one), "__module__", None) == name
        }
        assert here <= set(module.__all__), f"{name}.__all__ lacks what others import"


def test_no_module_is_long() -> None:
    long = [path.name for path in SOURCES if len(path.read_text(encoding="utf-8").splitlines()) > 300]
    assert not long


def test_every_room_has_its_place_among_the_layers() -> None:
    """Who may import whom is held by `lint-imports`; a room that it does not know would escape it."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = {name for row in contracts["contracts"][0]["layers"] for name in row.split(" | ")}
    rooms = {
        f"hilum.{path.stem}"
        for path in (ROOT / "src/hilum").iterdir()
        if path.suffix == ".py" or any(path.glob("*.py"))
    }
    assert rooms - {"hilum.__init__", "hilum.__pycache__"} == layers


def test_no_import_goes_in_a_circle() -> None:
    """Late imports and those for type checkers count: a module never needs itself by way of others."""
    wanted: dict[str, set[str]] = {}
    for path in SOURCES:
        name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
        wanted[name] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hilum"):
                inner = {f"{node.module}.{alias.name}" for alias in node.names} & set(MODULES)
                wanted[name] |= inner or {str(node.module)}
            elif isinstance(node, ast.Import):
                wanted[name] |= {alias.name for alias in node.names if alias.name.startswith("hilum")}
    assert sum(map(len, wanted.values())) > 500
    graphlib.TopologicalSorter(wanted).prepare()  # raises CycleError, which names the circle


def test_every_module_has_its_test() -> None:
    """One test_<module>.py a module; what is private to a neighbour is tested with it."""
    with_neighbours = {
        *(
            "__main__",
            "cli",
            "console",
            "errors",
            "files",
            "findings",
        ),  # test_cli, test_contracts, the run
        *("film/headers", "film/colour", "film/radiograph", "film/gdcm_frame", "film/worker"),
        *("data/anatomy", "data/canvas"),
        *("version", "judge/parts"),
    }
    for path in SOURCES:
        module = path.relative_to(ROOT / "src/hilum").with_suffix("")
        if module.name == "__init__" or module.as_posix() in with_neighbours:
            continue
        if module.parent.name == "commands" and module.name not in {"options", "usage"}:  # by tests/test_cli.py
            continue
        assert (ROOT / "tests" / module.parent / f"test_{module.name}.py").exists(), module


TAG = re.compile(
    r"</?(a|b|br|caption|code|dd|details|div|dl|dt|em|figcaption|figure|footer|h[1-6]|head|header|html|i|img|li|main|nav"
    r"|ol|p|pre|section|small|span|style|summary|svg|table|tbody|td|th|thead|title|tr|ul)\b[^<>]*/?>?"
)
WITH_TAGS = {"report": {"charts", "study_charts"}}  # plots are SVG


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT / "src").as_posix())
def test_pages_are_templates(path: Path) -> None:
    """No HTML tag stands in a Python string, docstrings aside."""
    room = path.relative_to(ROOT / "src/hilum").parts[0]
    if path.stem in WITH_TAGS.get(room, set()):
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            assert not TAG.search(node.value), f"line {node.lineno}: tags stand in templates"


# --- errors ---------------------------------------------------------------------------------------------------------


def documented_errors() -> dict[str, tuple[str, int, int]]:
    """Return class -> (base, exit code, HTTP status) as the tree in the module's docstring draws them."""
    found, parents = {}, ["HilumError"]
    pattern = r"^([ │├└─]*)(\w+)(?: \((\w+)\))? +exit (\d) +HTTP (\d+)"
    for indent, name, base, code, status in re.findall(pattern, hilum.errors.__doc__ or "", re.MULTILINE):
        depth = len(indent) // 4 - 1  # the docstring is indented too
        del parents[depth:]
        found[name] = (base or parents[-1], int(code), int(status))
        parents.append(name)
    return found


def test_errors_are_as_their_docstring_draws_them() -> None:
    documented = documented_errors()
    classes = {
        name: value
        for name, value in vars(hilum.errors).items()
        if inspect.isclass(value) and issubclass(value, HilumError) and value is not HilumError
    }
    assert set(documented) == set(classes)
    for name, (base, code, status) in documented.items():
        one = classes[name]
        assert (one.exit_code, one.http_status) == (code, status), name
        assert base in {parent.__name__ for parent in one.__mro__}, name
        assert 0xA000 <= one.dicom_status <= 0xCFFF  # a failure, DICOM PS3.7 annex C


def test_errors_survive_a_process_boundary_and_show_their_fix() -> None:
    error = InputError("It is empty.", fix="Fill it.")
    for one in (error, pickle.loads(pickle.dumps(error))):
        assert str(one) == "It is empty. Fill it."
        assert one.to_dict() == {"type": "InputError", "message": "It is empty.", "fix": "Fill it."}
    extra = pickle.loads(pickle.dumps(MissingExtra("Parquet output", "parquet")))
    assert extra.exit_code == 4
    assert install_line("parquet") in str(extra)


def test_the_nearest_name_is_told_and_no_far_one() -> None:
    assert nearest_name("Epoch", ["epochs", "seed"]) == "Did you mean `epochs`? Known: epochs, seed."
    assert nearest_name("zzz", ["epochs", "seed"]) == "Known: epochs, seed."


def test_every_extra_that_is_named_exists() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = {
        extra
        for path in SOURCES
        for extra in re.findall(r"MissingExtra\(\s*\"[^\"]*\",\s*\"(\w+)\"", path.read_text(encoding="utf-8"))
    }
    assert {"train", "parquet", "kaggle"} <= named <= set(extras)


# --- the project ----------------------------------------------------------------------------------------------------


def tracked_files() -> list[Path]:
    """Return the files that are, or are about to be, in the repository."""
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a working copy")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_no_file_names_a_registry_or_somebodys_folder() -> None:
    hosts = ["pypi" + ".org", "files.python" + "hosted", "--index" + "-url http", "extra-index" + "-url http"]
    folders = ["/" + "work/", "/" + "root/", "/home/" + "user"]
    for path in tracked_files():
        text = path.read_bytes().decode("utf-8", "replace").lower()
        for word in hosts + folders:
            assert word not in text, f"{path.relative_to(ROOT)} mentions {word}"


def test_no_film_is_tracked() -> None:
    suffixes = {".dcm", ".jpg", ".jpeg", ".tif", ".tiff", ".nii", ".npy", ".npz"}
    known = {
        ROOT / "src/hilum/data/known-films.npz",  # names and hashes of films, no picture
        ROOT / "src/hilum/train/chest_backbone.npz",  # weights
    }
    assert [path for path in tracked_files() if path.suffix.lower() in suffixes and path not in known] == []


def test_the_version_is_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == hilum.__version__


def test_the_changelog_begins_with_this_version() -> None:
    changelog = ROOT / "CHANGELOG.md"
    if not changelog.exists():
        pytest.skip("no CHANGELOG.md yet")
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", changelog.read_text(encoding="utf-8"), re.MULTILINE)
    assert versions[0] == hilum.__version__
