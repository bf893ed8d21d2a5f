"""The model file: what is wrong with one is said before any engine sees it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import helper

import hilum.run.modelfile
from hilum.errors import ModelFileError
from hilum.film.decode import DECODER_VERSION
from hilum.run.modelfile import FORMAT_VERSION, Metadata, check_texts, read_model_file

from .shared import refused

WriteModel = Callable[..., Path]
BuildGraph = Callable[[], onnx.ModelProto]


def test_a_sound_file_gives_its_metadata_and_hash(tiny_model: Path, tiny_metadata: Metadata) -> None:
    import hashlib

    model = read_model_file(tiny_model)
    assert model.metadata == tiny_metadata
    assert model.data == tiny_model.read_bytes()
    assert model.sha256 == hashlib.sha256(model.data).hexdigest()


def test_metadata_survive_their_json(tiny_metadata: Metadata) -> None:
    assert Metadata.from_json(tiny_metadata.to_json()) == tiny_metadata


def test_a_model_trained_on_films_cropped_to_the_lungs_is_refused_in_words(tiny_metadata: Metadata) -> None:
    values = json.loads(tiny_metadata.to_json())
    values["preprocessing"]["lung_crop"] = False  # as an earlier version may have written it
    assert Metadata.from_json(json.dumps(values)) == tiny_metadata
    values["preprocessing"]["lung_crop"], values["lung_segmenter"] = True, "90c494c2a19c54a7"
    with pytest.raises(ModelFileError, match="trained on films cropped to the lungs") as caught:
        Metadata.from_json(json.dumps(values))
    assert "train the model again" in caught.value.fix


# --- what is no model file ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no model\n",
        b"\x89PNG\r\n\x1a\n" + bytes(64),
        b"PK\x03\x04" + bytes(200),
        bytes(100),
        b"\xff" * 100,
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # a field longer than any memory
        json.dumps({"hilum": 1}).encode(),
    ],
)
def test_what_is_no_onnx_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert "is not an ONNX file, or it is cut short" in refused(path).message


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "missing.onnx").message
    assert "holds no model.onnx" in refused(tmp_path).message


def test_an_oversized_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.truncate(hilum.run.modelfile.MAX_FILE_BYTES + 1)
    assert "larger than 512 MB" in refused(path).message


def test_every_cut_is_noticed(tmp_path: Path, tiny_model: Path) -> None:
    data = tiny_model.read_bytes()
    path = tmp_path / "model.onnx"
    step = 1 if len(data) < 4000 else 3
    for length in range(0, len(data), step):
        path.write_bytes(data[:length])
        refused(path)


def test_metadata_are_measured_before_they_are_read(
    tmp_path: Path, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_model(tmp_path / "model.onnx", text='{"' + "x" * (16 * 2**20) + '": 1}')
    monkeypatch.setattr(hilum.run.modelfile.json, "loads", lambda _: pytest.fail("it was read"))
    assert "metadata are larger than 16 MB" in refused(path).message


@pytest.mark.parametrize("sign", ["\x1b[2J", "\r", "\x00", "\u202e", "\u2066", "\x9b", "\ufeff", "\ud800"])
@pytest.mark.parametrize(
    "make",
    [
        lambda sign: {"findings": ["Normal", f"Covid{sign}-19", "Viral Pneumonia"]},
        lambda sign: {"name": f"chest{sign}"},
        lambda sign: {"model_card": f"# Card\n{sign}"},
        lambda sign: {"hilum_version": f"1{sign}"},
        lambda sign: {"training_data": {"name": [{"deep": f"a{sign}"}]}},
        lambda sign: {"snomed_ct": {f"Normal{sign}": "1"}},
    ],
)
def test_texts_with_control_or_bidirectional_characters_are_refused(
    tmp_path: Path, write_model: WriteModel, sign: str, make: Callable[[str], dict[str, object]]
) -> None:
    error = refused(write_model(tmp_path / "model.onnx", **make(sign)))
    assert "control or bidirectional characters" in error.message
    assert sign not in error.message


def test_a_model_card_may_have_lines_and_what_hilum_writes_is_read(tiny_metadata: Metadata) -> None:
    named = dataclasses.replace(
        tiny_metadata, model_card="# Card\n\nof film\x1b.png", training_data={"name": "a\u202eb", "n": 3}
    )
    again = Metadata.from_json(named.to_json())
    assert again.model_card == "# Card\n\nof film\\x1b.png"
    assert again.training_data == {"name": "a\\u202eb", "n": 3}


@pytest.mark.parametrize("name", ["", "  ", "x" * 65])
def test_findings_have_names_that_can_be_shown(tmp_path: Path, write_model: WriteModel, name: str) -> None:
    error = refused(write_model(tmp_path / "model.onnx", findings=["Normal", name, "Viral Pneumonia"]))
    assert "expected 1 to 64" in error.message


# --- what belongs to somebody else, or to another time --------------------------------------------------------------


def test_a_foreign_onnx_file_is_told_apart(tmp_path: Path, tiny_graph: BuildGraph) -> None:
    path = tmp_path / "foreign.onnx"
    graph = tiny_graph()
    helper.set_model_props(graph, {"author": "somebody", "hilum2": "{}"})
    path.write_bytes(graph.SerializeToString())
    error = refused(path)
    assert "no model file of hilum" in error.message
    assert "hilum train" in error.fix


def test_statistics_of_unfamiliar_films_of_an_earlier_format_are_refused(
    tmp_path: Path, write_model: WriteModel
) -> None:
    assert read_model_file(write_model(tmp_path / "plain.onnx", format_version=1)).metadata.gate == {}
    error = refused(write_model(tmp_path / "old.onnx", format_version=1, gate={"basis": {}}))
    assert "has format version 1, made by an earlier hilum" in error.message
    assert "`hilum model upgrade`" in error.fix


def test_a_newer_format_asks_for_a_newer_hilum(tmp_path: Path, write_model: WriteModel) -> None:
    error = refused(write_model(tmp_path / "model.onnx", format_version=FORMAT_VERSION + 1, surprise="new"))
    assert f"format version {FORMAT_VERSION + 1}; this hilum reads up to {FORMAT_VERSION}" in error.message
    assert "Update hilum" in error.fix


@pytest.mark.parametrize("version", range(DECODER_VERSION))
def test_a_file_of_an_earlier_decoder_is_read_and_says_so(
    tmp_path: Path, write_model: WriteModel, version: int
) -> None:
    notice = read_model_file(write_model(tmp_path / "model.onnx", decoder_version=version)).metadata.notice
    assert notice is not None
    assert f"film decoder {version}. This hilum has film decoder {DECODER_VERSION}" in notice
    assert "\n" not in notice


def test_a_file_of_today_has_nothing_to_say(tiny_model: Path) -> None:
    assert read_model_file(tiny_model).metadata.notice is None


def test_a_newer_decoder_asks_for_a_newer_hilum(tmp_path: Path, write_model: WriteModel) -> None:
    error = refused(write_model(tmp_path / "model.onnx", decoder_version=DECODER_VERSION + 1))
    assert f"film decoder {DECODER_VERSION + 1}" in error.message
    assert "Update hilum" in error.fix


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[]",
        "3",
        "null",
        "{}",
        '"hilum"',
        "[" * 100_000,
        '{"format_version": 1}',
        '{"format_version": "one", "decoder_version": 1}',
    ],
)
def test_metadata_that_are_none_are_refused(tmp_path: Path, write_model: WriteModel, text: str) -> None:
    assert "metadata cannot be used" in refused(write_model(tmp_path / "model.onnx", text=text)).message


@pytest.mark.parametrize(
    "changes",
    [
        {"surprise": 1},
        {"preprocessing": {"size": 32}},
        {"preprocessing": {"size_px": -1}},
        {"preprocessing": None},
        {"findings": None},
        {"findings": []},
        {"findings": "Normal"},
        {"findings": ["Normal", 3]},
        {"findings": ["Normal", "Normal", "Covid-19"]},
        {"name": 7},
        {"temperature": "warm"},
        {"temperature": 0},
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"temperature": None},
        {"operating_thresholds": [0.5]},
        {"operating_thresholds": {"Normal": "high"}},
        {"conformal": [0.5]},
        {"conformal": {"Normal": 0.5}},
        {"conformal": {"Normal": {"n": 5}}},
        {"conformal": {"Normal": {"threshold": None, "n": 5}}},
        {"gate": [0.5]},
        {"gate": {"threshold": 1.0}},
        {"gate": {"center": None, "basis": None, "scaling": None, "means": None}},
        {"precision": 16},
        {"decoder_version": None},
        {"decoder_version": -1},
        {"decoder_version": True},
        {"decoder_version": 1.5},
    ],
    ids=str,
)
def test_metadata_of_a_wrong_shape_are_refused(
    tmp_path: Path, write_model: WriteModel, changes: dict[str, Any]
) -> None:
    refused(write_model(tmp_path / "model.onnx", **changes))


def test_metadata_that_are_no_text_are_refused(tmp_path: Path, write_model: WriteModel) -> None:
    path = write_model(tmp_path / "model.onnx", text="XXXX")
    path.write_bytes(path.read_bytes().replace(b"XXXX", b"\xff\xfe\xff\xfe"))
    assert "not text" in refused(path).message


# --- texts of a stranger's model file ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [{"a\x1b": 1}, {"a": ["x", {"b": "\u202e"}]}, {"a": {"model_card": "two\nlines"}}, ["\n"], {"model_card": "\x07"}],
)
def test_a_control_character_is_found_wherever_it_stands(values: Any) -> None:
    with pytest.raises(ValueError, match="control or bidirectional characters") as caught:
        check_texts(values)
    assert str(caught.value).isprintable()


def test_other_texts_and_the_lines_of_a_card_pass() -> None:
    check_texts({"name": "Entzündung 肺炎", "model_card": "# Card\n\n- a\n", "n": 3, "list": [None, 1.5, True]})
