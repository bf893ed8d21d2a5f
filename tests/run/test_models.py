"""Models by name: the shipped ones are found and checked, paths stay paths, unknown names get the near ones."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from pathlib import Path

import pytest

import hilum
from hilum.errors import ModelFileError
from hilum.run import models
from hilum.run.modelfile import read_model_file
from hilum.run.models import DEFAULT_MODEL, HELPER_FILES, SHIPPED, ShippedModel, file_of, helper_bytes, shipped_model


def test_the_shipped_files_are_those_of_the_registry() -> None:
    assert DEFAULT_MODEL in SHIPPED
    for name, model in SHIPPED.items():
        assert hashlib.sha256(model.path.read_bytes()).hexdigest() == model.sha256
        assert read_model_file(Path(name)).metadata.findings
        assert read_model_file(Path(name)).metadata.model_card.startswith("#")


def test_an_unknown_name_gets_the_near_ones() -> None:
    with pytest.raises(ModelFileError, match="Did you mean `chest`"):
        shipped_model("chets")


def test_paths_stay_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shipped_model(tmp_path / "chest") is None
    assert shipped_model("chest.onnx") is None
    monkeypatch.chdir(tmp_path)
    assert shipped_model("mine.onnx") is None
    (tmp_path / "mine").write_bytes(b"a file of the user's")
    assert shipped_model("mine") is None


def test_a_name_is_a_name_whatever_lies_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chest").mkdir()
    assert shipped_model("chest") == shipped_model(Path("chest")) == SHIPPED["chest"]


def test_the_small_networks_are_held_to_their_hashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file, digest in HELPER_FILES.items():
        data = helper_bytes(file)
        assert hashlib.sha256(data).hexdigest() == digest
        (tmp_path / file).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    (tmp_path / "gate.onnx").unlink()
    monkeypatch.setattr(models, "files", lambda _: tmp_path)
    for file, words in (("lungs.onnx", "was changed"), ("gate.onnx", "Cannot read hilum's own file")):
        with pytest.raises(ModelFileError, match=words):
            helper_bytes(file)


def test_a_file_with_another_hash_is_refused(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(tiny_model, tmp_path / "small.onnx")

    class Placed(ShippedModel):
        @property
        def path(self) -> Path:
            return tmp_path / self.file

    digest = hashlib.sha256(tiny_model.read_bytes()).hexdigest()
    monkeypatch.setattr(models, "SHIPPED", {"small": Placed("small", "small.onnx", digest, "")})
    assert hilum.load("small").findings == hilum.load(tiny_model).findings
    with (tmp_path / "small.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelFileError, match="was changed") as caught:
        hilum.load("small")
    assert caught.value.exit_code == 3


def test_a_folder_of_a_run_stands_for_its_model(tmp_path: Path, tiny_model: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(ModelFileError, match=r"The folder `.*run` holds no model.onnx") as caught:
        read_model_file(run)
    assert "folder of a finished run" in caught.value.fix
    (run / "model.onnx").write_bytes(tiny_model.read_bytes())
    assert file_of(run) == run / "model.onnx"
    assert read_model_file(run).path == run / "model.onnx"
    assert read_model_file(run).sha256 == read_model_file(tiny_model).sha256


def test_a_keras_model_is_told_apart(tmp_path: Path) -> None:
    keras = tmp_path / "model.keras"
    with zipfile.ZipFile(keras, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(ModelFileError, match="is a Keras model, which is only for further training") as caught:
        read_model_file(keras)
    assert caught.value.fix == "Give the model.onnx that was made with it."
    (tmp_path / "model.onnx").touch()
    with pytest.raises(ModelFileError) as caught:
        read_model_file(keras)
    assert caught.value.fix == f"Give `{tmp_path / 'model.onnx'}`."
