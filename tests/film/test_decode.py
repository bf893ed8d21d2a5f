"""Bytes of PNG and JPEG files in every shape, broken ones included: a film comes out, or a clear refusal."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, PngImagePlugin

from hilum.errors import UndecodableFilm, UnsupportedFilm
from hilum.film import headers
from hilum.film.decode import decode, decode_here, read_film
from hilum.film.radiograph import Radiograph

HEIGHT, WIDTH = 120, 160
ROWS, COLUMNS = np.mgrid[0:HEIGHT, 0:WIDTH]
GREY = ((COLUMNS * 2 + ROWS) % 256).astype(np.uint8)
SMOOTH = np.clip(128 + 100 * np.sin(COLUMNS / 25) * np.cos(ROWS / 30), 0, 255).astype(np.uint8)  # kind to JPEG
PICTURE = Image.fromarray(GREY)
SOFT = Image.fromarray(SMOOTH)
HALF_CLEAR = Image.fromarray(np.where(COLUMNS < WIDTH // 2, 255, 0).astype(np.uint8))
RISING_ALPHA = Image.fromarray((COLUMNS * 255 // (WIDTH - 1)).astype(np.uint8))


def saved(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, bit_depth: int, colour_type: int, rows: bytes, *extra: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bit_depth, colour_type, 0, 0, 0))
    return b"".join(
        [headers.PNG_MAGIC, header, *extra, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")],
    )


def colour_photo(height: int = 120, width: int = 160) -> Image.Image:
    """A synthetic landscape: blue sky, green field, a red roof."""
    photo = np.zeros((height, width, 3), np.uint8)
    photo[: height // 2] = (110, 160, 230)
    photo[height // 2 :] = (90, 140, 60)
    photo[height // 3 : height // 2, width // 4 : width // 2] = (180, 60, 50)
    noise = np.random.default_rng(7).integers(-10, 10, photo.shape)
    return Image.fromarray(np.clip(photo + noise, 0, 255).astype(np.uint8))


def on_black(picture: Image.Image) -> np.ndarray:
    """What Pillow shows of a picture on a black ground, in [0, 1]."""
    clear = picture.convert("RGBA")
    ground = Image.new("RGBA", clear.size, "black")
    return np.asarray(Image.alpha_composite(ground, clear).convert("L")) / 255


def check(film: Radiograph) -> None:
    assert film.pixels.ndim == 2
    assert film.pixels.dtype == np.float32
    assert film.pixels.flags.c_contiguous
    assert np.isfinite(film.pixels).all()
    assert film.pixels.min() >= 0
    assert film.pixels.max() <= 1


PNG_KINDS = {
    "grey": saved(PICTURE),
    "palette": saved(PICTURE.convert("P")),
    "1 bit": saved(PICTURE.convert("1")),
    "2-bit palette": saved(PICTURE.quantize(4), bits=2),
    "4-bit palette": saved(PICTURE.quantize(16), bits=4),
    "palette with transparency": saved(PICTURE.convert("P"), transparency=bytes(range(256))),
    "grey with one transparent value": saved(PICTURE, transparency=100),
    "RGB": saved(PICTURE.convert("RGB")),
    "RGB with one transparent colour": saved(PICTURE.convert("RGB"), transparency=(100, 100, 100)),
    "RGBA, half clear": saved(Image.merge("RGBA", [PICTURE] * 3 + [HALF_CLEAR])),
    "RGBA, fading": saved(Image.merge("RGBA", [PICTURE] * 3 + [RISING_ALPHA])),
    "grey and alpha": saved(Image.merge("LA", [PICTURE, HALF_CLEAR])),
}


@pytest.mark.parametrize("kind", PNG_KINDS)
def test_png_kinds_read_as_pillow_shows_them_on_black(kind: str) -> None:
    film = decode(PNG_KINDS[kind])
    check(film)
    assert film.file_format == "png"
    assert film.original_size_px == (HEIGHT, WIDTH)
    assert film.bit_depth == (1 if kind == "1 bit" else 8)
    np.testing.assert_allclose(film.pixels, on_black(Image.open(io.BytesIO(PNG_KINDS[kind]))), atol=1e-6)
    assert film.pixels.std() > 0.1


@pytest.mark.parametrize("alpha", [0, 1, 255])
def test_an_alpha_channel_of_one_value_says_nothing(alpha: int) -> None:
    data = saved(Image.merge("RGBA", [PICTURE] * 3 + [Image.new("L", PICTURE.size, alpha)]))
    np.testing.assert_array_equal(decode(data).pixels, decode(saved(PICTURE)).pixels)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_png_of_16_bits_is_as_bright_as_the_bits_in_use_say(bits: int) -> None:
    deep = ((COLUMNS * 16 + ROWS) * (2**bits - 1) // (159 * 16 + 119)).astype(np.uint16)
    film = decode(saved(Image.fromarray(deep)))
    assert film.bit_depth == 16
    np.testing.assert_allclose(film.pixels * (2**bits - 1), deep, atol=0.01)


def test_marks_of_16_bits_on_a_film_of_12_are_white_and_leave_the_film_as_it_is() -> None:
    film = np.linspace(300, 4000, HEIGHT * WIDTH).astype(np.uint16).reshape(HEIGHT, WIDTH)
    marked = film.copy()
    marked[: HEIGHT // 4] = 65535
    found = decode(saved(Image.fromarray(marked))).pixels
    np.testing.assert_allclose(found[HEIGHT // 4 :], film[HEIGHT // 4 :] / 4095, atol=1e-6)
    assert (found[: HEIGHT // 4] == 1).all()


def test_next_to_no_light_in_16_bits_stays_so() -> None:
    film = decode(saved(Image.fromarray((3 + COLUMNS % 2).astype(np.uint16))))
    assert film.pixels.max() <= 4 / 255


@pytest.mark.parametrize("channels", [3, 4])
def test_png_of_16_bits_and_several_channels(channels: int) -> None:
    deep = (GREY.astype(np.uint16) << 8) + 77
    stack = np.stack([deep] * channels, axis=2)
    expected = deep / 65535
    if channels == 4:
        stack[..., 3] = np.asarray(HALF_CLEAR, np.uint16) * 257
        expected = expected * (stack[..., 3] / 65535)
    film = decode(cv2.imencode(".png", stack)[1].tobytes())
    assert film.bit_depth == 16
    np.testing.assert_allclose(film.pixels, expected, atol=2e-5)


@pytest.mark.parametrize("bit_depth", [1, 2, 4])
def test_grey_png_of_few_bits_spans_black_to_white(bit_depth: int) -> None:
    levels = 2**bit_depth
    values = np.arange(levels, dtype=np.uint8)
    packed = np.packbits(np.unpackbits(values[:, None], axis=1)[:, 8 - bit_depth :].ravel()).tobytes()
    film = decode(png(levels, 1, bit_depth, 0, b"\0" + packed))
    assert film.bit_depth == bit_depth
    np.testing.assert_allclose(film.pixels[0], values / (levels - 1), atol=1e-6)


def as_ycck(luma: np.ndarray, black: np.ndarray) -> bytes:
    """A JPEG with Adobe transform 2: planes 255 - Y, Cb, Cr and K; Cb and Cr neutral. Pillow stores CMYK inverted."""
    planes = [luma, np.full_like(luma, 127), np.full_like(luma, 127), 255 - black]
    data = bytearray(saved(Image.merge("CMYK", [Image.fromarray(plane) for plane in planes]), "JPEG", quality=95))
    data[data.index(b"Adobe") + 11] = 2
    return bytes(data)


JPEG_KINDS = {
    "grey": saved(SOFT, "JPEG", quality=95),
    "progressive grey": saved(SOFT, "JPEG", quality=95, progressive=True),
    "colour-coded": saved(SOFT.convert("RGB"), "JPEG", quality=95),
    "colour-coded 4:4:4": saved(SOFT.convert("RGB"), "JPEG", quality=95, subsampling=0),
    "progressive colour-coded": saved(SOFT.convert("RGB"), "JPEG", quality=95, progressive=True),
    "RGB without transform": saved(SOFT.convert("RGB"), "JPEG", quality=95, keep_rgb=True),
    "CMYK": saved(SOFT.convert("CMYK"), "JPEG", quality=95),
    "YCCK": as_ycck(SMOOTH, np.full_like(SMOOTH, 255)),
}


@pytest.mark.parametrize("kind", JPEG_KINDS)
def test_jpeg_kinds(kind: str) -> None:
    film = decode(JPEG_KINDS[kind])
    check(film)
    assert (film.file_format, film.bit_depth, film.original_size_px) == ("jpeg", 8, (HEIGHT, WIDTH))
    assert np.abs(film.pixels - SMOOTH / 255).max() < 0.03
    shown = Image.open(io.BytesIO(JPEG_KINDS[kind])).convert("RGB").convert("L")
    assert np.abs(film.pixels - np.asarray(shown) / 255).max() < 2.5 / 255  # another decoder agrees


@pytest.mark.parametrize("kind", JPEG_KINDS)
def test_reduced_scale_keeps_both_sides_and_the_picture(kind: str) -> None:
    film = decode(JPEG_KINDS[kind], min_side_px=40)
    assert film.original_size_px == (HEIGHT, WIDTH)
    assert 40 <= min(film.pixels.shape) < HEIGHT
    full = cv2.resize(SMOOTH / np.float32(255), film.pixels.shape[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(film.pixels - full).max() < 0.04


@pytest.mark.parametrize("min_side_px", [HEIGHT, 1000])
def test_nothing_is_enlarged(min_side_px: int) -> None:
    assert decode(JPEG_KINDS["grey"], min_side_px=min_side_px).pixels.shape == (HEIGHT, WIDTH)
    assert decode(PNG_KINDS["grey"], min_side_px=min_side_px).pixels.shape == (HEIGHT, WIDTH)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(SOFT, kind, exif=exif)
    film = decode(data)
    with Image.open(io.BytesIO(data)) as picture:
        upright = ImageOps.exif_transpose(picture)
    assert film.original_size_px == (HEIGHT, WIDTH)
    np.testing.assert_allclose(film.pixels, np.asarray(upright) / 255, atol=2.5 / 255)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("orientation", "applied"), [(6, 6), (9, 1), (2**16 + 6, 1)])
def test_exif_orientation_may_be_a_long_number(order: str, orientation: int, applied: int) -> None:
    exif = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IHHHIII", 8, 1, 0x0112, 4, 1, orientation, 0)
    plain = saved(SOFT, "JPEG")
    body = b"Exif\0\0" + exif
    film = decode(plain[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + plain[2:])
    upright = decode(plain).pixels
    np.testing.assert_array_equal(film.pixels, np.rot90(upright, -1) if applied == 6 else upright)


def test_content_counts_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "Röntgen Thorax 胸部.png"
    path.write_bytes(JPEG_KINDS["grey"])
    assert read_film(path).file_format == "jpeg"


COLOUR_KINDS = {
    "PNG": saved(colour_photo()),
    "PNG with alpha": saved(colour_photo().convert("RGBA")),
    "palette PNG": saved(colour_photo().quantize(64)),
    "JPEG": saved(colour_photo(), "JPEG"),
    "progressive JPEG": saved(colour_photo(600, 800), "JPEG", progressive=True),
    "CMYK JPEG": saved(colour_photo().convert("CMYK"), "JPEG"),
    "16-bit PNG": cv2.imencode(".png", np.asarray(colour_photo()).astype(np.uint16) * 257)[1].tobytes(),
}


@pytest.mark.parametrize("min_side_px", [None, 64])
@pytest.mark.parametrize("kind", COLOUR_KINDS)
def test_colour_photos_are_refused(kind: str, min_side_px: int | None) -> None:
    with pytest.raises(UnsupportedFilm, match="colour photo") as caught:
        decode(COLOUR_KINDS[kind], name="holiday.jpg", min_side_px=min_side_px)
    assert "holiday.jpg" in str(caught.value)
    assert caught.value.fix


def tinted(strength: int) -> Image.Image:
    shades = np.stack([SMOOTH] * 3, axis=2).astype(int)
    return Image.fromarray(np.clip(shades + np.array([0, strength // 2, strength]), 0, 255).astype(np.uint8))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("min_side_px", [None, 64])
def test_near_grey_is_read(kind: str, min_side_px: int | None) -> None:
    bluish = decode(saved(tinted(14), kind), min_side_px=min_side_px)
    assert abs(float(bluish.pixels.mean()) - SMOOTH.mean() / 255) < 0.03
    with pytest.raises(UnsupportedFilm):
        decode(saved(tinted(90), kind), min_side_px=min_side_px)


def test_a_small_coloured_arrow_is_tolerated() -> None:
    marked = np.stack([SMOOTH] * 3, axis=2)
    marked[10:30, 10:50] = (255, 30, 30)  # 4 % of the area
    assert decode(saved(Image.fromarray(marked))).pixels.shape == (HEIGHT, WIDTH)


@pytest.mark.parametrize("kept_fraction", [0.02, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("data", [*PNG_KINDS.values(), *JPEG_KINDS.values()], ids=[*PNG_KINDS, *JPEG_KINDS])
def test_truncated_files_are_refused_not_filled_with_grey(data: bytes, kept_fraction: float) -> None:
    for min_side_px in (None, 40):
        with pytest.raises(UndecodableFilm):
            decode(data[: int(len(data) * kept_fraction)], min_side_px=min_side_px)


def test_png_whose_pixels_end_early_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    rows = b"".join(b"\0" + bytes(range(100)) for _ in range(50))
    assert decode(png(100, 50, 8, 0, rows)).pixels.shape == (50, 100)
    with pytest.raises(UndecodableFilm, match="truncated"):
        decode(png(100, 50, 8, 0, rows[: len(rows) // 2]))
    assert "Traceback" not in capfd.readouterr().err


def test_png_with_a_wrong_checksum_is_refused() -> None:
    data = bytearray(PNG_KINDS["grey"])
    data[data.index(b"IDAT") + 20] ^= 1
    with pytest.raises(UndecodableFilm, match="checksum"):
        decode(bytes(data))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (saved(PICTURE, "BMP"), "BMP"),
        (saved(PICTURE, "TIFF"), "TIFF"),
        (saved(PICTURE, "WEBP"), "WebP"),
        (saved(PICTURE, "GIF"), "GIF"),
        (saved(PICTURE, "JPEG2000"), "JPEG 2000"),
        (b"\0\0\0\x18ftypheic" + bytes(100), "HEIC"),
        (b"%PDF-1.7\n" + bytes(100), "PDF"),
        (b"PK\x03\x04" + bytes(100), "ZIP"),
    ],
)
def test_other_formats_are_named_with_what_to_do(data: bytes, found: str) -> None:
    with pytest.raises(UnsupportedFilm, match=found) as caught:
        decode(data, name="film.png")
    assert "expected DICOM, PNG or JPEG" in caught.value.message
    assert "Export" in caught.value.fix


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"", "empty"), (b"patient,finding\n1,Covid\n", "plain text"), (bytes(300), "not a known kind of picture")],
)
def test_what_is_no_picture_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(UndecodableFilm, match=said):
        decode(data, name="film.png")


def test_animated_png_is_refused() -> None:
    data = saved(PICTURE, save_all=True, append_images=[SOFT])
    with pytest.raises(UnsupportedFilm, match="animated"):
        decode(data)


def jpeg_of_size(height: int, width: int) -> bytes:
    data = bytearray(JPEG_KINDS["grey"])
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [png(2**31 - 1, 2**31 - 1, 8, 0, b""), png(20_000, 20_000, 8, 2, bytes(1000)), jpeg_of_size(60_000, 60_000)],
    ids=["largest PNG", "400 megapixel PNG", "largest JPEG"],
)
def test_decompression_bombs_are_refused_by_their_header(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: Any, **__: Any) -> None:
        pytest.fail("a decoder was called")

    monkeypatch.setattr("hilum.film.decode.cv2.imdecode", explode)
    monkeypatch.setattr("hilum.film.jpeg.simplejpeg.decode_jpeg", explode)
    with pytest.raises(UndecodableFilm, match="more than the 100,000,000 pixels"):
        decode(data)


def test_swelling_chunks_never_reach_the_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    swelling = zlib.compress(bytes(50_000_000), 9)
    extra = [chunk(b"iCCP", b"profile\0\0" + swelling), chunk(b"zTXt", b"text\0\0" + swelling)]
    rows = b"".join(b"\0" + bytes(range(100)) for _ in range(50))
    seen: list[bytes] = []
    real = cv2.imdecode

    def watch(buffer: np.ndarray, flags: int) -> np.ndarray:
        seen.append(buffer.tobytes())
        return real(buffer, flags)

    monkeypatch.setattr("hilum.film.decode.cv2.imdecode", watch)
    film = decode(png(100, 50, 8, 0, rows, *extra))
    assert np.array_equal(film.pixels, decode(png(100, 50, 8, 0, rows)).pixels)
    assert b"iCCP" not in seen[0]
    assert b"zTXt" not in seen[0]


def test_text_and_gamma_change_nothing() -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("comment", "a note", zip=True)
    data = saved(PICTURE, pnginfo=notes)
    with_gamma = data[:33] + chunk(b"gAMA", struct.pack(">I", 22_000)) + data[33:]
    assert np.array_equal(decode(with_gamma).pixels, decode(PNG_KINDS["grey"]).pixels)


def test_jpeg_of_endless_scans_is_refused() -> None:
    data = JPEG_KINDS["progressive grey"]
    start = data.index(b"\xff\xda")
    with pytest.raises(UndecodableFilm, match="scans"):
        decode(data[:-2] + data[start:-2] * 200 + b"\xff\xd9")


def test_jpeg_of_12_bits_is_refused_with_what_to_do() -> None:
    data = bytearray(JPEG_KINDS["grey"])
    data[data.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(UnsupportedFilm, match="12 bits"):
        decode(bytes(data))


def test_jpeg_with_a_thumbnail_in_it_reads_the_picture() -> None:
    thumbnail = saved(SOFT.resize((16, 12)), "JPEG")
    body = b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0" + thumbnail
    data = JPEG_KINDS["grey"]
    with_thumbnail = data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]
    assert np.array_equal(decode(with_thumbnail).pixels, decode(data).pixels)


def test_too_large_a_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("hilum.film.decode.MAX_BYTES", 100)
    path = tmp_path / "large.png"
    path.write_bytes(PNG_KINDS["grey"])
    with pytest.raises(UndecodableFilm, match="larger than"):
        read_film(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(UndecodableFilm, match="does not exist"):
        read_film(tmp_path / "no such film.png")
    with pytest.raises(UndecodableFilm, match="is a folder"):
        read_film(tmp_path)
    with pytest.raises(UndecodableFilm, match="not valid"):
        read_film(Path("bad\0name.png"))
    with pytest.raises(UndecodableFilm, match="not a regular file"):
        read_film(Path("/dev/null"))


@pytest.mark.parametrize(
    ("failure", "said"),
    [(PermissionError(13, "Permission denied"), "may not read"), (OSError(5, "I/O error"), "I/O error")],
)
def test_unreadable_file(failure: OSError, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "film.png"
    path.write_bytes(PNG_KINDS["grey"])

    def fail(*_: Any, **__: Any) -> None:
        raise failure

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(UndecodableFilm, match=said) as caught:
        read_film(path)
    assert caught.value.fix


def test_threads_decode_alike() -> None:
    kinds = [*PNG_KINDS.values(), *JPEG_KINDS.values()] * 5
    with ThreadPoolExecutor(4) as pool:
        parallel = list(pool.map(decode, kinds))
    for data, film in zip(kinds, parallel, strict=True):
        assert np.array_equal(film.pixels, decode(data).pixels)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_mutated_bytes_give_a_film_or_a_refusal(data: st.DataObject) -> None:
    source = data.draw(st.sampled_from([*PNG_KINDS.values(), *JPEG_KINDS.values()]))
    mutated = bytearray(source)
    for _ in range(data.draw(st.integers(1, 6))):
        # headers are where a byte matters: half of the changes fall on the first 700 bytes
        limit = data.draw(st.sampled_from([min(700, len(mutated)), len(mutated)]))
        mutated[data.draw(st.integers(0, limit - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(mutated)) | st.just(len(mutated)))
    try:
        check(decode(bytes(mutated[:cut]), min_side_px=data.draw(st.sampled_from([None, 30]))))
    except (UndecodableFilm, UnsupportedFilm) as refusal:
        assert refusal.message


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([b"", headers.PNG_MAGIC, headers.JPEG_MAGIC, bytes(128) + b"DICM"]))
def test_noise_behind_any_magic_is_refused(noise: bytes, magic: bytes) -> None:
    with pytest.raises((UndecodableFilm, UnsupportedFilm)):
        decode(magic + noise)


def test_every_original_film_reads(hilum_data: Path) -> None:
    paths = [path for path in sorted((hilum_data / "covid19-image-dataset").rglob("*")) if path.is_file()]
    assert len(paths) == 317
    with ThreadPoolExecutor(2) as pool:
        for film in pool.map(lambda path: read_film(path, min_side_px=224), paths):
            check(film)
            assert min(film.pixels.shape) >= min(224, *film.original_size_px)


# Rare kinds of JPEG


def test_lossless_jpeg_is_read_and_kills_nothing(cases: Path) -> None:
    folder = cases / "01-lossless-jpeg-kills-process"
    for name in ("gray_sof3.jpg", "rgb_sof3.jpg"):
        for min_side_px in (None, 64, 224):
            film = read_film(folder / name, min_side_px=min_side_px)
            plain = read_film(folder / "same_film_sof0.jpg", min_side_px=min_side_px)
            assert (film.file_format, film.original_size_px) == ("jpeg", (400, 340))
            assert film.pixels.shape == plain.pixels.shape
            assert np.abs(film.pixels - plain.pixels).mean() < 0.01
    assert read_film(folder / "gray_sof3_1400px.jpg").pixels.shape == (1400, 1189)


def test_cut_lossless_jpeg_is_refused(cases: Path) -> None:
    data = (cases / "01-lossless-jpeg-kills-process/gray_sof3.jpg").read_bytes()
    for kept in (300, 20_000, len(data) - 2000):
        with pytest.raises(UndecodableFilm, match="it is a truncated or damaged lossless JPEG file"):
            decode(data[:kept], min_side_px=64)


@pytest.mark.parametrize(
    ("process", "said"),
    [
        (0xC5, "a hierarchical JPEG"),
        (0xC7, "a hierarchical JPEG"),
        (0xCB, "a lossless, arithmetic-coded JPEG"),
        (0xCD, "a hierarchical JPEG"),
        (0xF7, "a JPEG-LS picture outside DICOM"),
    ],
)
def test_kinds_of_jpeg_that_nothing_reads_are_named(process: int, said: str) -> None:
    data = bytearray(JPEG_KINDS["grey"])
    data[data.index(b"\xff\xc0") + 1] = process
    with pytest.raises(UnsupportedFilm, match=f"it is {said}"):
        decode(bytes(data), min_side_px=30)


@pytest.mark.parametrize(
    ("process", "kind"), [(0xC3, "lossless JPEG"), (0xC0, "JPEG"), (0xC9, "arithmetic-coded JPEG")]
)
def test_deep_jpeg_is_refused_by_its_bits(process: int, kind: str) -> None:
    data = bytearray(JPEG_KINDS["grey"])
    frame = data.index(b"\xff\xc0")
    data[frame + 1], data[frame + 4] = process, 12
    with pytest.raises(UnsupportedFilm, match=f"it is a {kind} of 12 bits; expected 8"):
        decode(bytes(data), min_side_px=30)


@pytest.mark.parametrize("process", [0xC3, 0xC9, 0xCA])
def test_other_processes_never_reach_the_scaled_decoder(process: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: Any, **__: Any) -> None:
        pytest.fail("simplejpeg was called")

    monkeypatch.setattr("hilum.film.jpeg.simplejpeg.decode_jpeg", explode)
    data = bytearray(JPEG_KINDS["grey"])
    data[data.index(b"\xff\xc0") + 1] = process
    for decoder in (decode, decode_here):
        with contextlib.suppress(UndecodableFilm):  # an arithmetic decoder makes a picture of any bytes
            assert decoder(bytes(data), name="film", min_side_px=30).original_size_px == (HEIGHT, WIDTH)


def test_channels_and_bytes_count_in_the_limit() -> None:
    for width, height, bit_depth, colour_type in (
        (10_000, 10_000, 16, 6),
        (10_000, 5_100, 16, 2),
        (9_000, 9_000, 8, 6),
    ):
        with pytest.raises(UndecodableFilm, match="more than the 300 MB allowed"):
            decode(png(width, height, bit_depth, colour_type, b""))
    with pytest.raises(UndecodableFilm, match="truncated or damaged"):  # this size is allowed
        decode(png(100, 100, 16, 6, b""))


def test_a_strangers_film_is_never_decoded_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: Any, **__: Any) -> None:
        pytest.fail("a decoder was called in this process")

    monkeypatch.setattr("hilum.film.decode.decode_here", explode)
    for data in (PNG_KINDS["grey"], JPEG_KINDS["grey"]):
        film = decode(data, min_side_px=40, apart=True)
        monkeypatch.undo()
        np.testing.assert_array_equal(film.pixels, decode(data, min_side_px=40).pixels)
        monkeypatch.setattr("hilum.film.decode.decode_here", explode)


def test_packed_films_of_a_folder(cases: Path) -> None:
    packed = sorted((cases / "16-gz-skipped-silently").rglob("*.gz"))
    assert packed
    for path in packed:
        with pytest.raises(UnsupportedFilm, match="packed by gzip"):
            read_film(path)
