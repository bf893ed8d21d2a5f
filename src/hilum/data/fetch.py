"""Downloads public data sets through Kaggle's own client.

hilum ships no films. Each set keeps its own licence, and Kaggle's client asks for an account where one is needed.
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path

from hilum.errors import InputError, MissingExtra, nearest_name

__all__ = ["PUBLIC_SETS", "PublicSet", "fetch"]

_API = "https://api.kaggle.com"
_TIMEOUT_SECONDS = (5, 10)  # to connect, to answer; behind a firewall Kaggle's client would wait for minutes


@dataclass(frozen=True)
class PublicSet:
    """A public data set.

    Attributes:
        name: What `hilum data get` calls it.
        handle: What Kaggle calls it, owner/name.
        title: Its findings and parts.
        num_films: Approximate number of films, from its page.
        licence: Its licence, from its page; read the page before you use the films.
        folder: The folder inside the download that hilum reads, with "/" as separator.
    """

    name: str
    handle: str
    title: str
    num_films: int
    licence: str
    folder: str

    @property
    def page(self) -> str:
        """The address of the set's page."""
        return f"https://www.kaggle.com/datasets/{self.handle}"


PUBLIC_SETS = (
    PublicSet(
        "covid19-image-dataset",
        "pranavraikokte/covid19-image-dataset",
        "Covid, Normal and Viral Pneumonia, with train and test",
        317,
        "CC BY-SA 4.0",
        "Covid19-dataset",
    ),
    PublicSet(
        "covid19-radiography-database",
        "tawsifurrahman/covid19-radiography-database",
        "COVID, Lung Opacity, Normal and Viral Pneumonia, with lung masks",
        21165,
        "its original authors'",
        "COVID-19_Radiography_Dataset",
    ),
    PublicSet(
        "chest-xray-pneumonia",
        "paultimothymooney/chest-xray-pneumonia",
        "children: Normal and Pneumonia, with train, val and test",
        5856,
        "CC BY 4.0",
        "chest_xray",
    ),
)


def fetch(name: str) -> Path:
    """Return the folder of a public data set; download the set if it is not in Kaggle's cache.

    Without a network an earlier download is used.

    Args:
        name: That of one of PUBLIC_SETS.

    Returns:
        The folder to give to hilum as DATA.

    Raises:
        InputError: The name is unknown, Kaggle cannot be reached, or it refuses the download.
        MissingExtra: kagglehub is not installed.
    """
    known = {one.name: one for one in PUBLIC_SETS}
    if name not in known:
        raise InputError(
            f"There is no public set `{name}`. {nearest_name(name, known)}", fix="List the sets: hilum data list"
        )
    public_set = known[name]
    try:
        import kagglehub
        import requests
        from kagglehub.config import get_cache_folder
    except ImportError as error:
        raise MissingExtra("Downloading public sets", "kaggle") from error
    by_hand = (
        f"Download it with a browser from {public_set.page}, unpack it, and give hilum its folder "
        f"`{public_set.folder}`."
    )
    try:
        requests.head(_API, timeout=_TIMEOUT_SECONDS)
    except requests.RequestException as error:
        cached = _find_cached(Path(get_cache_folder()), public_set.handle)
        if cached is not None:
            return _data_folder(cached, public_set)
        raise InputError(f"Cannot download the public set `{name}`: Kaggle cannot be reached.", fix=by_hand) from error
    try:
        with contextlib.redirect_stdout(sys.stderr):  # standard output is for data alone
            downloaded = Path(kagglehub.dataset_download(public_set.handle))
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"Cannot download the public set `{name}`: {reason}.", fix=by_hand) from error
    return _data_folder(downloaded, public_set)


def _find_cached(cache: Path, handle: str) -> Path | None:
    """Return the newest complete download in kagglehub's cache, or None."""
    folder = cache / "datasets" / handle
    complete = [int(path.stem) for path in folder.glob("*.complete") if path.stem.isdigit()]
    versions = [folder / "versions" / str(version) for version in sorted(complete, reverse=True)]
    return next((version for version in versions if version.is_dir()), None)


def _data_folder(downloaded: Path, public_set: PublicSet) -> Path:
    folder = downloaded / public_set.folder
    return folder if folder.is_dir() else downloaded
