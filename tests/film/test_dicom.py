"""DICOM films: grey values in the standard's order, every compression, refusals that name no patient."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
import pydicom
import pytest
import simplejpeg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from hilum.errors import HilumError, UndecodableFilm, UnsupportedFilm
from hilum.film import headers
from hilum.film.decode import decode, read_film
from hilum.film.dicom import age_and_interpretation, decode_dicom, read_elements
from hilum.film.radiograph import Radiograph

CR, DX, CT = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.2"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
ROWS, COLUMNS = np.mgrid[0:48, 0:64]
FILM = np.clip(2000 + 1500 * np.sin(COLUMNS / 10) * np.cos(ROWS / 9), 0, 4095).astype(np.uint16)  # 12 bits
RISING = np.arange(4096, dtype=np.uint16).reshape(64, 64)  # every 12-bit value once
SECRET = "SECRET^PATIENT"


def dataset(pixels: np.ndarray = FILM, *, bits_stored: int = 12, **elements: Any) -> Dataset:
    """A chest film; keyword arguments set, None deletes."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = DX, "1.2.3.4"
    made.Modality, made.BodyPartExamined, made.ViewPosition = "DX", "CHEST", "PA"
    made.PatientName, made.PatientID, made.IssuerOfPatientID = SECRET, "SECRET-4711", "HOSPITAL"
    made.Rows, made.Columns = pixels.shape[:2]
    made.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    made.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        made.PlanarConfiguration = 0
    made.BitsAllocated = pixels.dtype.itemsize * 8
    made.BitsStored, made.HighBit = bits_stored, bits_stored - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    made.PixelData = pixels.tobytes()
    made["PixelData"].VR = "OW"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # real files break the standard, and so do these
        for keyword, value in elements.items():
            if value is None:
                delattr(made, keyword)
            else:
                setattr(made, keyword, value)
    return made


def written(made: Dataset) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pydicom.dcmwrite(stream, made, enforce_file_format=True)
    return stream.getvalue()


def shown(pixels: np.ndarray = FILM, **elements: Any) -> np.ndarray:
    film = decode(written(dataset(pixels, **elements)))
    check(film)
    return film.pixels


def check(film: Radiograph) -> None:
    assert film.pixels.ndim == 2
    assert film.pixels.dtype == np.float32
    assert np.isfinite(film.pixels).all()
    assert film.pixels.min() >= 0
    assert film.pixels.max() <= 1


def stretched(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.float64)
    return (values - values.min()) / (values.max() - values.min())


def test_a_plain_film() -> None:
    film = decode(written(dataset()))
    check(film)
    assert (film.file_format, film.bit_depth, film.original_size_px) == ("dicom", 12, (48, 64))
    assert film.view_position == "PA"
    np.testing.assert_allclose(film.pixels, stretched(FILM), atol=1e-6)


# Grey values


def test_monochrome1_is_inverted() -> None:
    np.testing.assert_allclose(shown(PhotometricInterpretation="MONOCHROME1"), 1 - stretched(FILM), atol=1e-6)


@pytest.mark.parametrize("photometric_interpretation", ["MONOCHROME1", "MONOCHROME2"])
def test_window_comes_before_inversion(photometric_interpretation: str) -> None:
    pixels = shown(RISING, WindowCenter=1000, WindowWidth=401, PhotometricInterpretation=photometric_interpretation)
    expected = np.clip((RISING - 999.5) / 400 + 0.5, 0, 1)
    if photometric_interpretation == "MONOCHROME1":
        expected = 1 - expected
    np.testing.assert_allclose(pixels, expected, atol=1e-6)


def test_window_is_stated_in_rescaled_values() -> None:
    pixels = shown(RISING, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=1000, WindowWidth=401)
    np.testing.assert_allclose(pixels, np.clip((RISING * 2.0 - 1000 - 999.5) / 400 + 0.5, 0, 1), atol=1e-6)


def test_a_falling_rescale_slope_turns_the_film() -> None:
    np.testing.assert_allclose(shown(RescaleSlope=-1, RescaleIntercept=4095), 1 - stretched(FILM), atol=1e-6)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("LINEAR", lambda x: np.clip((x - 1999.5) / 499 + 0.5, 0, 1)),
        ("LINEAR_EXACT", lambda x: np.clip((x - 2000) / 500 + 0.5, 0, 1)),
        ("SIGMOID", lambda x: 1 / (1 + np.exp(-4 * (x - 2000) / 500))),
    ],
)
def test_window_functions(function: str, expected: Any) -> None:
    pixels = shown(RISING, WindowCenter=2000, WindowWidth=500, VOILUTFunction=function)
    np.testing.assert_allclose(pixels, expected(RISING.astype(float)), atol=1e-6)


def test_window_of_width_one_is_a_threshold() -> None:
    np.testing.assert_array_equal(shown(RISING, WindowCenter=2000, WindowWidth=1), RISING >= 2000)


def test_first_window_of_several() -> None:
    several = shown(RISING, WindowCenter=[1000, 3000], WindowWidth=[400, 50])
    np.testing.assert_array_equal(several, shown(RISING, WindowCenter=1000, WindowWidth=400))


@pytest.mark.parametrize(("center", "width"), [(50_000, 10), (2000, 0), (2000, -5)])
def test_a_window_that_shows_nothing_is_left_out(center: int, width: int) -> None:
    np.testing.assert_allclose(shown(WindowCenter=center, WindowWidth=width), stretched(FILM), atol=1e-6)


def test_a_window_that_shows_next_to_nothing_is_left_out() -> None:
    found = shown(WindowCenter=2048, WindowWidth=4096, RescaleSlope="0.0005")
    np.testing.assert_allclose(found, stretched(FILM), atol=1e-6)


@pytest.mark.parametrize("mark", [65535, 0])
@pytest.mark.parametrize("photometric_interpretation", ["MONOCHROME1", "MONOCHROME2"])
def test_marks_far_from_the_film_leave_it_as_it_is(mark: int, photometric_interpretation: str) -> None:
    film = 30000 + FILM
    marked = film.copy()
    marked[:12] = mark
    found = shown(marked, bits_stored=16, PhotometricInterpretation=photometric_interpretation)
    expected = (film[12:] - film[12:].min()) / np.ptp(film[12:])
    is_inverted = photometric_interpretation == "MONOCHROME1"
    np.testing.assert_allclose(found[12:], 1 - expected if is_inverted else expected, atol=1e-6)
    assert (found[:12] == float((mark > 0) != is_inverted)).all()


def lut(first: int, entries: list[int], bits: int, *, packed: bool) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US" if first >= 0 else "SS", [len(entries), first, bits])
    item.add_new("LUTData", "OW" if packed else "US", struct.pack(f"<{len(entries)}H", *entries) if packed else entries)
    return item


@pytest.mark.parametrize("packed", [True, False])
def test_voi_lut_is_preferred_to_the_window(packed: bool) -> None:
    entries = [0, 50, 200, 1000, 1023]
    sequence = Sequence([lut(1000, entries, 10, packed=packed)])
    pixels = shown(RISING, VOILUTSequence=sequence, WindowCenter=10, WindowWidth=10)
    expected = np.array(entries)[np.clip(RISING.astype(int) - 1000, 0, 4)] / 1023
    np.testing.assert_allclose(pixels, expected, atol=1e-6)


def test_modality_lut_comes_before_the_window() -> None:
    entries = [4095 - value for value in range(4096)]
    sequence = Sequence([lut(0, entries, 12, packed=True)])
    pixels = shown(RISING, ModalityLUTSequence=sequence, WindowCenter=1000, WindowWidth=401)
    np.testing.assert_allclose(pixels, np.clip((4095.0 - RISING - 999.5) / 400 + 0.5, 0, 1), atol=1e-6)


@pytest.mark.parametrize("photometric_interpretation", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_out_of_the_range(photometric_interpretation: str) -> None:
    padded = FILM.copy()
    padded[:, :8] = 4095
    padding = {"PixelPaddingValue": 4095, "PhotometricInterpretation": photometric_interpretation}
    pixels = shown(padded, **padding)
    assert not pixels[:, :8].any()
    inner = FILM[:, 8:].astype(float)
    expected = (inner - inner.min()) / (inner.max() - inner.min())
    expected = 1 - expected if photometric_interpretation == "MONOCHROME1" else expected
    np.testing.assert_allclose(pixels[:, 8:], expected, atol=1e-6)


def test_padding_range() -> None:
    padded = FILM.copy()
    padded[:, :4], padded[:, 4:8] = 4090, 4095
    pixels = shown(padded, PixelPaddingValue=4095, PixelPaddingRangeLimit=4088)
    assert not pixels[:, :8].any()
    assert pixels[:, 8:].max() == 1


def test_signed_pixels() -> None:
    signed = FILM.astype(np.int16) - 2048
    np.testing.assert_allclose(shown(signed), stretched(FILM), atol=1e-6)
    pixels = shown(signed, WindowCenter=-48, WindowWidth=401)
    np.testing.assert_allclose(pixels, np.clip((signed + 48.5) / 400 + 0.5, 0, 1), atol=1e-6)


@pytest.mark.parametrize("bits_stored", [8, 10, 14, 15, 16])
def test_bit_depths(bits_stored: int) -> None:
    values = (stretched(FILM) * (2**bits_stored - 1)).astype(np.uint8 if bits_stored == 8 else np.uint16)
    film = decode(written(dataset(values, bits_stored=bits_stored)))
    assert film.bit_depth == bits_stored
    np.testing.assert_allclose(film.pixels, stretched(FILM), atol=1 / (2**bits_stored - 1))


def test_a_constant_film() -> None:
    assert not shown(np.full((20, 30), 7, np.uint16)).any()


# Encodings


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_uncompressed_encodings(syntax: str) -> None:
    made = dataset()
    made.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        made.PixelData = FILM.astype(">u2").tobytes()
    np.testing.assert_allclose(decode(written(made)).pixels, stretched(FILM), atol=1e-6)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("bits_stored", [8, 12, 16])
def test_lossless_compressions(syntax: str, bits_stored: int) -> None:
    values = (stretched(FILM) * (2**bits_stored - 1)).astype(np.uint8 if bits_stored == 8 else np.uint16)
    made = dataset(values, bits_stored=bits_stored)
    plain = decode(written(made)).pixels
    made.compress(syntax, generate_instance_uid=False)
    np.testing.assert_array_equal(decode(written(made)).pixels, plain)


def through_gdcm(made: Dataset, syntax: int, folder: Path) -> bytes:
    """A film compressed by GDCM."""
    source, target = folder / "plain.dcm", folder / "compressed.dcm"
    source.write_bytes(written(made))
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return target.read_bytes()


@pytest.mark.parametrize("syntax", ["JPEGLosslessProcess14", "JPEGLosslessProcess14_1"])
@pytest.mark.parametrize("bits_stored", [8, 12, 16])
def test_jpeg_lossless(syntax: str, bits_stored: int, tmp_path: Path) -> None:
    values = (stretched(FILM) * (2**bits_stored - 1)).astype(np.uint8 if bits_stored == 8 else np.uint16)
    made = dataset(values, bits_stored=bits_stored)
    data = through_gdcm(made, getattr(gdcm.TransferSyntax, syntax), tmp_path)
    np.testing.assert_array_equal(decode(data).pixels, decode(written(made)).pixels)


def test_a_damaged_lossless_frame_costs_one_film_not_the_process(tmp_path: Path) -> None:
    data = bytearray(through_gdcm(dataset(), gdcm.TransferSyntax.JPEGLosslessProcess14_1, tmp_path))
    table = data.index(b"\xff\xc4", data.index(b"\xff\xc3"))
    data[table + 1] = 0xD7  # no Huffman table: GDCM ends its process
    with pytest.raises(UndecodableFilm, match=r"damaged or cannot be unpacked.*JPEG Lossless"):
        decode(bytes(data))


def test_elements_of_the_meta_information_count_too() -> None:
    data = written(dataset())
    start = data.index(b"\x08\0\x16\0UI", 132)
    more = b"".join(struct.pack("<HH2sH", 2, 0x200 + number, b"SH", 0) for number in range(51_000))
    with pytest.raises(UndecodableFilm, match="more than 50,000 elements"):
        decode(data[:start] + more + data[start:])


@pytest.mark.parametrize("syntax", ["JPEGLosslessProcess14", "JPEGLosslessProcess14_1", "JPEGExtendedProcess2_4"])
@pytest.mark.parametrize("kept", [0.5, 0.97])
def test_a_frame_cut_short_is_refused_with_a_mark_put_behind_it_too(syntax: str, kept: float, tmp_path: Path) -> None:
    made = pydicom.dcmread(io.BytesIO(through_gdcm(dataset(), getattr(gdcm.TransferSyntax, syntax), tmp_path)))
    frame = next(generate_frames(made.PixelData, number_of_frames=1))
    cut = frame[: int(kept * len(frame))] + b"\xff\xd9"
    made.PixelData = encapsulate([cut + b"\0" * (len(cut) % 2)])
    made["PixelData"].VR = "OB"
    with pytest.raises(UndecodableFilm, match="damaged or cannot be unpacked"):
        decode(written(made))


def test_jpeg_extended_of_12_bits(tmp_path: Path) -> None:
    data = through_gdcm(dataset(), gdcm.TransferSyntax.JPEGExtendedProcess2_4, tmp_path)
    assert b"1.2.840.10008.1.2.4.51" in data
    np.testing.assert_allclose(decode(data).pixels, stretched(FILM), atol=0.02)


def jpeg_film(**elements: Any) -> Dataset:
    values = (stretched(FILM) * 255).astype(np.uint8)
    made = dataset(values, bits_stored=8, **elements)
    encoded = simplejpeg.encode_jpeg(values[..., None], quality=95, colorspace="GRAY")
    made.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    made.PixelData = encapsulate([encoded])
    made["PixelData"].VR = "OB"
    return made


def test_jpeg_baseline() -> None:
    np.testing.assert_allclose(decode(written(jpeg_film())).pixels, stretched(FILM), atol=0.03)


def test_a_cut_codestream_in_a_whole_file_is_refused() -> None:
    made = jpeg_film()
    encoded = simplejpeg.encode_jpeg((stretched(FILM) * 255).astype(np.uint8)[..., None], colorspace="GRAY")
    made.PixelData = encapsulate([encoded[: len(encoded) // 2]])
    with pytest.raises(UndecodableFilm, match="truncated"):
        decode(written(made))


def test_a_codestream_of_another_size_is_refused_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: Any, **__: Any) -> None:
        pytest.fail("a decoder was called")

    made = jpeg_film()
    huge = bytearray(made.PixelData)
    frame = huge.index(b"\xff\xc0")
    huge[frame + 5 : frame + 9] = struct.pack(">HH", 60_000, 60_000)
    made.PixelData = bytes(huge)
    jpeg_2000 = dataset()
    jpeg_2000.compress(JPEG2000Lossless, generate_instance_uid=False)
    jpeg_2000.Rows = 47
    monkeypatch.setattr("hilum.film.unpack.get_decoder", explode)
    for damaged in (made, jpeg_2000):
        with pytest.raises(UndecodableFilm, match="does not have the stated size"):
            decode_dicom(written(damaged))


def test_without_preamble_or_meta_information() -> None:
    stream = io.BytesIO()
    made = dataset()
    del made.file_meta
    pydicom.dcmwrite(stream, made, implicit_vr=True, little_endian=True)
    assert stream.getvalue()[:2] == b"\x08\x00"
    np.testing.assert_allclose(decode(stream.getvalue()).pixels, stretched(FILM), atol=1e-6)


@pytest.mark.parametrize("text", [b"\x08\x00 is a backspace" + b"x" * 200, b"0008,0016 as text" * 20, b"DICM" * 33])
def test_text_is_not_taken_for_dicom(text: bytes) -> None:
    with pytest.raises(UndecodableFilm):
        decode(text)


# Colour


def test_near_grey_colour_captures_are_read() -> None:
    grey = (stretched(FILM) * 255).astype(np.uint8)
    rgb = np.stack([grey, grey, np.minimum(grey, 250)], axis=2)
    film = decode(written(dataset(rgb, bits_stored=8, SOPClassUID=SECONDARY_CAPTURE, Modality="CR")))
    np.testing.assert_allclose(film.pixels, grey / 255, atol=0.01)


def test_colour_captures_are_refused() -> None:
    grey = (stretched(FILM) * 255).astype(np.uint8)
    rgb = np.stack([grey, 255 - grey, grey // 2], axis=2)
    with pytest.raises(UnsupportedFilm, match="colour"):
        decode(written(dataset(rgb, bits_stored=8, SOPClassUID=SECONDARY_CAPTURE)))


# Refusals


@pytest.mark.parametrize(
    ("elements", "said"),
    [
        ({"SOPClassUID": CT, "Modality": "CT"}, "modality CT"),
        ({"SOPClassUID": CT, "Modality": "CR"}, "its SOP class is not"),
        ({"Modality": "MG"}, "modality MG"),
        ({"Modality": "OT", "SOPClassUID": CT}, "modality OT"),
        ({"Modality": SECRET}, "no known modality"),
        ({"NumberOfFrames": 2}, "several frames"),
        ({"BodyPartExamined": "HIP"}, "its body part is HIP; expected CHEST"),
        ({"BodyPartExamined": "EXTREMITY"}, "its body part is EXTREMITY"),
        ({"BodyPartExamined": "TSPINE"}, "TSPINE"),
        ({"BodyPartExamined": "THORACIC SPINE"}, "SPINE"),
        ({"BodyPartExamined": "", "StudyDescription": f"Left knee of {SECRET}"}, "KNEE"),
        ({"BodyPartExamined": None, "SeriesDescription": "FOOT AP", "StudyDescription": "CHEST"}, "FOOT"),
    ],
)
def test_other_than_one_chest_film_is_refused(elements: dict[str, Any], said: str) -> None:
    with pytest.raises(UnsupportedFilm, match=said) as caught:
        decode(written(dataset(**elements)), name="film.dcm")
    assert "film.dcm" in caught.value.message
    assert caught.value.fix


@pytest.mark.parametrize(("sop_class", "is_read"), [(DX, True), (CT, False)])
def test_the_class_in_the_meta_information_stands_in_for_a_missing_one(sop_class: str, is_read: bool) -> None:
    made = dataset(SOPClassUID=None, Modality=None)
    made.file_meta.MediaStorageSOPClassUID = sop_class
    if is_read:
        assert decode(written(made)).pixels.shape == FILM.shape
    else:
        with pytest.raises(UnsupportedFilm, match="no known modality"):
            decode(written(made))


def test_anatomic_region_stands_in_for_the_body_part() -> None:
    region = Dataset()
    region.CodeMeaning = "Knee"
    with pytest.raises(UnsupportedFilm, match="KNEE"):
        decode(written(dataset(BodyPartExamined=None, AnatomicRegionSequence=Sequence([region]))))


@pytest.mark.parametrize(
    "elements",
    [
        {"BodyPartExamined": body_part}
        for body_part in ("", "CHEST", "Thorax", "LUNG", "RIBS", "TÓRAX", "CHEST_ABDOMEN", "UNKNOWN", "HEART")
    ]
    + [
        {"BodyPartExamined": None, "StudyDescription": "CHEST AND HAND"},
        {"BodyPartExamined": None, "StudyDescription": "head injury"},
        {"SOPClassUID": CR, "Modality": "CR"},
        {"SOPClassUID": f"{DX}.1"},
        {"SOPClassUID": SECONDARY_CAPTURE, "Modality": "CR"},
        {"SOPClassUID": SECONDARY_CAPTURE, "Modality": "OT"},
        {"NumberOfFrames": 1},
    ],
)
def test_chest_films_however_named_are_read(elements: dict[str, Any]) -> None:
    check(decode(written(dataset(SpecificCharacterSet="ISO_IR 192", **elements))))


@pytest.mark.parametrize(
    ("elements", "view_position"),
    [
        ({"ViewPosition": "AP"}, "AP"),
        ({"ViewPosition": "LL"}, "LATERAL"),
        ({"ViewPosition": "lateral"}, "LATERAL"),
        ({"ViewPosition": SECRET}, None),
        ({"ViewPosition": None}, None),
    ],
)
def test_view_position(elements: dict[str, Any], view_position: str | None) -> None:
    assert decode(written(dataset(**elements))).view_position == view_position


def test_view_code_stands_in_for_the_view_position() -> None:
    view = Dataset()
    view.CodeMeaning = "postero-anterior"
    film = decode(written(dataset(ViewPosition="", ViewCodeSequence=Sequence([view]))))
    assert film.view_position == "PA"


def key(**elements: Any) -> str | None:
    return decode(written(dataset(**elements))).patient_key


def test_patient_key_tells_patients_apart_without_naming_them() -> None:
    mine = key()
    assert mine is not None
    assert len(mine) == 16
    assert set(mine) <= set("0123456789abcdef")
    assert mine == key(ViewPosition="LATERAL")
    assert mine != key(IssuerOfPatientID="ANOTHER HOSPITAL")
    assert mine != key(PatientID="SECRET-4712")
    assert key(PatientID="12", IssuerOfPatientID="3") != key(PatientID="1", IssuerOfPatientID="23")
    assert key(PatientID=None) is None
    assert key(PatientID="ANONYMOUS") is None
    assert key(PatientID="Anonymous") is None
    assert key(PatientID="mrn  7a") == key(PatientID="MRN 7A") != key(PatientID="MRN7A")


# Bombs and broken files


def test_bombs_are_refused_by_their_header(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: Any, **__: Any) -> None:
        pytest.fail("a decoder was called")

    monkeypatch.setattr("hilum.film.unpack.get_decoder", explode)
    with pytest.raises(UndecodableFilm, match="pixels allowed"):
        decode_dicom(written(dataset(Rows=65_535, Columns=65_535)))


def test_deflated_bombs_are_refused_before_pydicom_inflates_them(monkeypatch: pytest.MonkeyPatch) -> None:
    made = dataset()
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data = written(made)
    check(decode(data))
    monkeypatch.setattr("hilum.film.dicom.MAX_BYTES", 1_000_000)
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    meta = data[: 144 + struct.unpack_from("<I", data, 140)[0]]
    bomb = meta + deflater.compress(bytes(30_000_000)) + deflater.flush()

    def explode(*_: Any, **__: Any) -> None:
        pytest.fail("pydicom was called")

    monkeypatch.setattr("hilum.film.dicom.pydicom.dcmread", explode)
    with pytest.raises(UndecodableFilm, match="deflated file of more"):
        decode_dicom(bomb)


def compressed(syntax: str) -> bytes:
    made = dataset()
    made.compress(syntax, generate_instance_uid=False)
    return written(made)


WHOLE = {
    "plain": written(dataset()),
    "RLE": compressed(RLELossless),
    "JPEG-LS": compressed(JPEGLSLossless),
    "JPEG 2000": compressed(JPEG2000Lossless),
    "JPEG": written(jpeg_film()),
}


@pytest.mark.parametrize("kept_fraction", [0.1, 0.3, 0.5, 0.7, 0.9, 0.98])
@pytest.mark.parametrize("kind", WHOLE)
def test_truncated_files_are_refused(kind: str, kept_fraction: float) -> None:
    data = WHOLE[kind]
    with pytest.raises(UndecodableFilm):
        decode(data[: int(len(data) * kept_fraction)])


def test_what_is_wrong_with_a_picture_is_said_in_words() -> None:
    deflated = dataset()
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    whole = written(deflated)
    rle = dataset()
    rle.compress(RLELossless, generate_instance_uid=False)
    rle.PixelData = encapsulate([next(generate_frames(rle.PixelData, number_of_frames=1))[:200]])
    for data, said in (
        (written(dataset(PixelData=FILM.tobytes()[:-2])), "its picture is truncated. It has 6,142 bytes; expected"),
        (written(rle), r"its picture is damaged or cannot be unpacked \(transfer syntax: RLE Lossless\)"),
        (whole[: len(whole) - 500], "it is a deflated file, and truncated or damaged"),
        (whole[:-500] + bytes(500), "it is a deflated file, and truncated or damaged"),
        (written(dataset(PhotometricInterpretation="PALETTE COLOR")), "its palette is missing or damaged"),
    ):
        with pytest.raises(UndecodableFilm, match=said):
            decode(data)


def test_an_empty_transfer_syntax_counts_as_none() -> None:
    data = written(dataset()).replace(ExplicitVRLittleEndian.encode() + b"\0", bytes(20))
    np.testing.assert_array_equal(decode(data).pixels, shown())


def test_a_file_without_a_picture_is_refused() -> None:
    with pytest.raises(UndecodableFilm, match="no picture"):
        decode(written(dataset(PixelData=None)))


@pytest.mark.parametrize(
    "elements", [{"Rows": None}, {"BitsStored": None}, {"PhotometricInterpretation": None}, {"Rows": 0}, {"Rows": 49}]
)
def test_files_that_contradict_themselves_are_refused(elements: dict[str, Any]) -> None:
    with pytest.raises(UndecodableFilm):
        decode(written(dataset(**elements)))


def test_32_bit_pixels_are_refused() -> None:
    with pytest.raises(UnsupportedFilm, match="Bits Allocated"):
        decode(written(dataset(FILM.astype(np.uint32), bits_stored=32)))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_mutated_files_give_a_film_or_a_refusal_without_the_patient(data: st.DataObject) -> None:
    mutated = bytearray(data.draw(st.sampled_from(sorted(WHOLE.values()))))
    for _ in range(data.draw(st.integers(1, 5))):
        limit = data.draw(st.sampled_from([min(900, len(mutated)), len(mutated)]))
        mutated[data.draw(st.integers(128, limit - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.just(len(mutated)) | st.integers(0, len(mutated)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            check(decode(bytes(mutated[:cut])))
        except (UndecodableFilm, UnsupportedFilm) as refusal:
            assert "SECRET" not in str(refusal)


def excess_padding() -> bytes:
    """A film that pydicom warns about, and logs."""
    made = dataset()
    made.PixelData = FILM.tobytes() + bytes(64)
    return written(made)


def test_no_warning_leaks_and_the_filters_are_put_back() -> None:
    odd = written(dataset(RescaleSlope="1", RescaleIntercept="0", PatientID="x" * 80))  # too long a value
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        for film in pool.map(decode, [odd, excess_padding(), WHOLE["plain"]] * 8):
            check(film)
    assert list(warnings.filters) == before


def test_pydicom_logs_nothing_meanwhile(caplog: pytest.LogCaptureFixture) -> None:
    data = excess_padding()
    caplog.clear()
    check(decode(data))
    assert not caplog.text
    with pytest.warns(UserWarning, match="excess padding"):  # so both tests can fail, and others' pydicom still speaks
        _ = pydicom.dcmread(io.BytesIO(data)).pixel_array
    assert "excess padding" in caplog.text


def test_threads_decode_alike() -> None:
    kinds = list(WHOLE.values()) * 6
    with ThreadPoolExecutor(4) as pool:
        films = list(pool.map(decode, kinds))
    for data, film in zip(kinds, films, strict=True):
        np.testing.assert_array_equal(film.pixels, decode(data).pixels)


# Real files


def test_real_chest_films_read(hilum_data: Path) -> None:
    folder = hilum_data / "dicom"
    films = {path.stem: read_film(path) for path in sorted(folder.glob("*.dcm")) if path.stem[:3] not in ("RG2", "RG3")}
    assert {name: (film.bit_depth, film.view_position) for name, film in films.items()} == {
        "966_fixed": (12, "PA"),
        "RG1_J2KI": (15, "PA"),
        "RG1_JLSN": (15, "PA"),
        "rsna_CR_chest_PA_mono2_jpegbaseline": (8, "PA"),
        "xrv_fake_mono1_jpegbaseline": (8, "PA"),
    }
    for film in films.values():
        check(film)
    assert np.abs(films["RG1_J2KI"].pixels - films["RG1_JLSN"].pixels).mean() < 0.005  # two lossy copies of one film
    truth, mislabelled = (films[f"{name}_jpegbaseline"].pixels for name in ("rsna_CR_chest_PA_mono2", "xrv_fake_mono1"))
    np.testing.assert_allclose(truth, 1 - mislabelled, atol=1e-6)
    for name in ("966_fixed", "RG1_J2KI", "rsna_CR_chest_PA_mono2_jpegbaseline"):
        pixels = films[name].pixels
        height, width = pixels.shape
        spine = pixels[int(height * 0.45) : int(height * 0.6), int(width * 0.47) : int(width * 0.53)].mean()
        corner = pixels[int(height * 0.02) : int(height * 0.05), int(width * 0.94) : int(width * 0.97)].mean()
        assert spine > corner, f"{name}: bone must be bright"


@pytest.mark.parametrize(("stem", "body_part"), [("RG2_JPLY_fixed", "HIP"), ("RG3_J2KR", "EXTREMITY")])
def test_real_films_of_other_body_parts_are_refused(stem: str, body_part: str, hilum_data: Path) -> None:
    with pytest.raises(UnsupportedFilm, match=f"its body part is {body_part}; expected CHEST"):
        read_film(hilum_data / "dicom" / f"{stem}.dcm")


def test_real_film_uncompressed_and_lossy(hilum_data: Path) -> None:
    path = hilum_data / "dicom" / "RG1_J2KI.dcm"
    compressed_film = read_film(path)
    source = pydicom.dcmread(path)
    source.decompress(generate_instance_uid=False)
    assert not source.file_meta.TransferSyntaxUID.is_encapsulated
    np.testing.assert_array_equal(decode(written(source)).pixels, compressed_film.pixels)


def test_errors_are_hilums(hilum_data: Path) -> None:
    data = (hilum_data / "dicom" / "RG1_JLSN.dcm").read_bytes()
    assert headers.is_dicom(data)
    for cut in (200, 1000, 5000, len(data) // 2, len(data) - 1000):
        with pytest.raises(HilumError):
            decode(data[:cut])


def test_gdcm_loaded_first_does_not_break_the_png_writers() -> None:
    """GDCM carries its own zlib; Python's must be loaded before it, or writing a PNG later breaks the heap."""
    script = (
        "import hilum.film.dicom, gdcm, io, cv2, numpy; from PIL import Image;"
        "film = numpy.random.default_rng(0).integers(0, 255, (300, 300)).astype('u1');"
        "assert cv2.imencode('.png', film)[0]; Image.fromarray(film).save(io.BytesIO(), 'PNG')"
    )
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


# What stands beside the picture


@pytest.mark.parametrize(
    ("written_age", "years"),
    [("045Y", 45), ("45Y", 45), ("045y", 45), ("006M", 0.5), (" 45 Y ", 45), ("045Y\\046Y", 45)]
    + [(age, None) for age in ("", "45", "abc", "045X", "-45Y", "4,5Y", "0450Y")],
)
def test_ages(written_age: str, years: float | None) -> None:
    found, interpretation = age_and_interpretation(written(dataset(PatientAge=written_age)))
    assert found == years
    assert interpretation == "MONOCHROME2"


@pytest.mark.parametrize(("said", "sex"), [("F", "F"), ("m ", "M"), ("O", None), ("", None)])
def test_the_film_knows_age_and_sex(said: str, sex: str | None) -> None:
    film = decode_dicom(written(dataset(PatientAge="045Y", PatientSex=said)))
    assert (film.age_years, film.sex) == (45, sex)
    assert "age_years" not in repr(film)


# Elements without a picture


def test_elements_come_without_the_picture_and_without_a_word() -> None:
    data = written(dataset(PatientBirthDate="19600199"))  # no date; reading it would warn
    elements = read_elements(data)
    assert "PixelData" not in elements
    assert elements.SOPInstanceUID == "1.2.3.4"


def test_elements_of_broken_bytes_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: Any, **_words: Any) -> None:
        raise KeyError("SECRET")  # as pydicom may, on bytes that nobody foresaw

    monkeypatch.setattr(pydicom, "dcmread", fail)
    with pytest.raises(UndecodableFilm, match="KeyError") as error:
        read_elements(written(dataset()))
    assert "SECRET" not in str(error.value)


@pytest.mark.parametrize("padding", [b"", b"\0", b"\0" * 100])
def test_padding_behind_a_deflated_film_does_no_harm(padding: bytes) -> None:
    made = dataset(np.zeros((2000, 2000), np.uint16))  # inflated in several pieces
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    assert decode(written(made) + padding).original_size_px == (2000, 2000)


def test_elements_that_swell_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    made = dataset(np.zeros((2000, 2000), np.uint16))
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data = written(made)
    assert "Rows" in read_elements(data)
    monkeypatch.setattr("hilum.film.dicom.MAX_BYTES", 1_000_000)
    with pytest.raises(UndecodableFilm, match="deflated file of more"):
        read_elements(data)


# Codestreams that contradict the file


def test_hostile_codestreams_are_refused_by_their_header(cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: Any, **__: Any) -> None:
        pytest.fail("a decoder was called")

    monkeypatch.setattr("hilum.film.unpack.get_decoder", explode)
    monkeypatch.setattr("hilum.film.unpack.simplejpeg.decode_jpeg", explode)
    for name, said in (
        ("j2k_50", "its picture has 50 channels of 8 bits; the file states 1 of 8"),
        ("jp2_hidden", "its picture does not have the stated size"),
        ("prog1000", "it is a JPEG picture of more than 25 scans"),
    ):
        with pytest.raises(UndecodableFilm, match=said):
            decode_dicom((cases / "18-hostile" / f"{name}.dcm").read_bytes())


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
def test_a_codestream_of_more_bits_than_the_file_states_is_refused(syntax: Any) -> None:
    made = dataset()
    made.compress(syntax, generate_instance_uid=False)
    made.BitsAllocated, made.BitsStored, made.HighBit = 8, 8, 7
    with pytest.raises(UndecodableFilm, match="its picture has 1 channels of 12 bits; the file states 1 of 8"):
        decode(written(made))


def test_a_codestream_of_other_channels_is_refused() -> None:
    made = dataset(np.stack([FILM.astype(np.uint8)] * 3, axis=2), bits_stored=8)
    made.compress(JPEG2000Lossless, generate_instance_uid=False)
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    with pytest.raises(UndecodableFilm, match="its picture has 3 channels"):
        decode(written(made))


def test_a_codestream_whose_size_cannot_be_found_is_damaged() -> None:
    made = dataset()
    made.compress(JPEG2000Lossless, generate_instance_uid=False)
    made.PixelData = encapsulate([bytes(6000) + next(generate_frames(made.PixelData, number_of_frames=1))])
    with pytest.raises(UndecodableFilm, match="its picture is damaged"):
        decode(written(made))


def test_an_rle_frame_is_no_longer_than_its_pixels() -> None:
    made = dataset(np.full(FILM.shape, 7, np.uint8), bits_stored=8)
    made.file_meta.TransferSyntaxUID = RLELossless
    made.PixelData = encapsulate([struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\x10" * 2_000_000])
    made["PixelData"].VR = "OB"
    assert decode(written(made)).pixels.shape == FILM.shape


def test_channels_and_bytes_count_in_the_limit_of_pixels() -> None:
    rgb = dataset(np.zeros((4, 4, 3), np.uint16), bits_stored=16, Rows=10_000, Columns=9_000)
    with pytest.raises(UndecodableFilm, match="more than the 300 MB allowed"):
        decode(written(rgb))
