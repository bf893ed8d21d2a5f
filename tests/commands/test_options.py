"""Options of several commands: --column, several after one another and only with lists; --cluster with an address."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.commands.shared import named_cluster, spread_columns, with_columns
from hilum.data.columns import Listing
from hilum.errors import ConfigError, InputError


@pytest.mark.parametrize(
    ("given", "spread"),
    [
        (
            "audit a.csv --column path=file finding=dx --out o",
            "audit a.csv --column path=file --column finding=dx --out o",
        ),
        ("predict --column path=file a.csv", "predict --column path=file a.csv"),
        ("predict --column=path=file Split=x b", "predict --column=path=file --column Split=x b"),
        ("predict path=file.csv", "predict path=file.csv"),
        ("train a.csv --column path=a --column finding=b", "train a.csv --column path=a --column finding=b"),
        ("train a.csv --column", "train a.csv --column"),
    ],
)
def test_several_columns_after_one_another(given: str, spread: str) -> None:
    assert spread_columns(given.split()) == spread.split()


def test_lists_remember_their_columns_and_other_paths_do_not() -> None:
    one, two = with_columns([Path("a.csv"), Path("-")], ["path=x", "finding=y"])
    assert isinstance(one, Listing)
    assert one.columns == {"path": "x", "finding": "y"}
    assert not isinstance(two, Listing)
    assert with_columns([Path("films")], None) == [Path("films")]
    with pytest.raises(InputError, match="`films` is not a CSV file"):
        with_columns([Path("films")], ["path=x"])


@pytest.mark.parametrize("address", ["", " "])
def test_a_cluster_has_an_address(address: str) -> None:
    with pytest.raises(ConfigError, match="--cluster needs an address; received an empty text"):
        named_cluster(address, None)
    assert named_cluster(None, None) is None
    with pytest.raises(ConfigError, match="--workers needs a cluster"):
        named_cluster(None, 2)
