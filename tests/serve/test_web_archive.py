"""The archive of a node over DICOMweb: its address, the login, and what a failed request means."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from hilum.errors import ConfigError, InputError
from hilum.serve.web_archive import Login, checked_url, is_of_one_film, read_login, what_failed


def test_a_url_is_checked_and_holds_no_password() -> None:
    assert checked_url(" http://localhost:8042/dicom-web/ ") == "http://localhost:8042/dicom-web"
    for text in ("", "localhost:8042", "ftp://a/b", "http://", "http://a:99999999/", "http://a/?b"):
        with pytest.raises(ConfigError, match="not valid"):
            checked_url(text)
    with pytest.raises(ConfigError, match="holds a name or a password"):
        checked_url("http://user:word@localhost/dicom-web")


def test_a_login_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "login"
    assert read_login(None, {}) is None
    assert read_login(None, {"HILUM_DICOMWEB_TOKEN": "abc"}) == Login(token="abc")
    assert read_login(None, {"HILUM_DICOMWEB_USER": "a", "HILUM_DICOMWEB_PASSWORD": "b:c"}) == Login("a", "b:c")
    with pytest.raises(ConfigError, match="Only one"):
        read_login(None, {"HILUM_DICOMWEB_USER": "a"})
    with pytest.raises(InputError, match="Cannot read the login"):
        read_login(file, {})
    for text, login in (("a:b:c\n", Login("a", "b:c")), ("Bearer abc\n", Login(token="abc"))):
        file.write_text(text, encoding="utf-8")
        assert read_login(file, {}) == login
        assert "b:c" not in repr(login)
    for text in ("", "name", "a:b\nc:d"):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match=r"holds no login|cannot be printed"):
            read_login(file, {})


def refused(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError("http://archive/studies/SECRET", response=response)


def test_a_failure_is_said_without_the_address_and_tells_if_the_next_request_fails_too() -> None:
    assert what_failed(refused(401)) == "status 401 (the login is wrong or missing)"
    assert not is_of_one_film(refused(401))
    assert is_of_one_film(refused(404))
    assert what_failed(requests.exceptions.ReadTimeout("SECRET")) == "no answer in time"
    assert not is_of_one_film(requests.exceptions.ConnectionError("SECRET"))
    assert "SECRET" not in what_failed(ValueError("SECRET"))
