"""Public sets: named rightly, found in the cache, and a clear word without a network. No test uses a network."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from hilum.data.fetch import PUBLIC_SETS, fetch
from hilum.errors import InputError, MissingExtra
from hilum.extras import install_line

kagglehub = pytest.importorskip("kagglehub")
requests = pytest.importorskip("requests")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    def refuse(*_args: object, **_options: object) -> None:
        raise requests.ConnectionError("no route")

    monkeypatch.setattr(requests, "head", refuse)
    monkeypatch.setattr(kagglehub, "dataset_download", lambda _handle: pytest.fail("must not be asked"))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    return tmp_path


def answer(monkeypatch: pytest.MonkeyPatch, download: object) -> None:
    monkeypatch.setattr(requests, "head", lambda _url, **_options: None)
    monkeypatch.setattr(kagglehub, "dataset_download", download)


def test_the_sets_carry_their_handles() -> None:
    assert PUBLIC_SETS[0].handle == "pranavraikokte/covid19-image-dataset"
    assert len({one.name for one in PUBLIC_SETS}) == len(PUBLIC_SETS)
    assert all(one.num_films > 0 and one.handle in one.page for one in PUBLIC_SETS)


def test_an_unknown_set_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="Did you mean `chest-xray-pneumonia`"):
        fetch("chest-xray-pnuemonia")


@pytest.mark.usefixtures("offline")
def test_without_a_network_the_way_by_browser_is_told() -> None:
    with pytest.raises(InputError) as caught:
        fetch("covid19-image-dataset")
    assert "Kaggle cannot be reached" in caught.value.message
    assert "https://www.kaggle.com/datasets/pranavraikokte/covid19-image-dataset" in caught.value.fix
    assert "`Covid19-dataset`" in caught.value.fix
    assert caught.value.exit_code == 2


def test_without_a_network_the_newest_complete_copy_is_taken(offline: Path) -> None:
    folder = offline / "datasets" / "pranavraikokte" / "covid19-image-dataset"
    for version in ("2", "10", "11"):
        (folder / "versions" / version / "Covid19-dataset").mkdir(parents=True)
    for version in ("2", "10"):  # 11 was cut short
        (folder / f"{version}.complete").touch()
    assert fetch("covid19-image-dataset") == folder / "versions" / "10" / "Covid19-dataset"


def test_a_download_gives_the_folder_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "chest_xray").mkdir()

    def download(handle: str) -> str:
        sys.stdout.write("a newer version is there")
        assert handle == "paultimothymooney/chest-xray-pneumonia"
        return str(tmp_path)

    answer(monkeypatch, download)
    assert fetch("chest-xray-pneumonia") == tmp_path / "chest_xray"
    assert capsys.readouterr().out == ""  # standard output is for data
    (tmp_path / "chest_xray").rmdir()
    assert fetch("chest-xray-pneumonia") == tmp_path


def test_a_refused_download_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(_handle: str) -> str:
        raise RuntimeError("403 Client Error.\n\nPlease sign in")

    answer(monkeypatch, download)
    with pytest.raises(InputError, match=r"403 Client Error\. Please sign in.*Download it with a browser"):
        fetch("covid19-radiography-database")


def test_without_kagglehub_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(MissingExtra, match=re.escape(install_line("kaggle"))):
        fetch("covid19-image-dataset")
