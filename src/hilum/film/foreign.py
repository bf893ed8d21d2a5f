"""Names the kind of a file that hilum does not read, by its content, so that a message can say what was given."""

from __future__ import annotations

import zlib

from hilum.film.headers import JPEG_MAGIC, PNG_MAGIC, is_dicom

__all__ = ["foreign_kind"]

_KINDS: tuple[tuple[int, bytes, str], ...] = (  # (offset, magic, what it is)
    (0, b"BM", "a BMP picture"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"II*\0", "a TIFF picture"),
    (0, b"MM\0*", "a TIFF picture"),
    (0, b"II+\0", "a TIFF picture"),
    (0, b"MM\0+", "a TIFF picture"),
    (8, b"WEBP", "a WebP picture"),
    (4, b"ftypavif", "an AVIF picture"),
    (4, b"ftyp", "a HEIC picture or a video"),
    (0, b"\0\0\0\x0cjP  \r\n", "a JPEG 2000 picture outside DICOM"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture outside DICOM"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive or office document"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"Rar!", "a RAR archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ\0", "an xz archive"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (0, b"NRRD", "an NRRD volume"),
    *((344, magic, "a NIfTI volume") for magic in (b"n+1\0", b"ni1\0")),
    *((4, magic, "a NIfTI volume") for magic in (b"n+2\0", b"ni2\0")),
)
_GZIP = b"\x1f\x8b"
_FIRST_BYTES = 1024


def foreign_kind(data: bytes) -> tuple[str, str] | None:
    """Return the kind of a file that hilum does not read, and what to do about it; None for an unknown kind.

    Args:
        data: The file, at least its first 1,024 bytes.

    Example:
        >>> foreign_kind(b"%PDF-1.7")
        ('a PDF document', 'Export the film as DICOM, PNG or JPEG.')
    """
    if data.startswith(_GZIP):
        return _within_gzip(data), "Unpack it first, for instance with gunzip."
    for offset, magic, kind in _KINDS:
        if data.startswith(magic, offset):
            return kind, "Export the film as DICOM, PNG or JPEG."
    return None


def _within_gzip(data: bytes) -> str:
    """Return the kind of the content of a gzip file."""
    try:
        first = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data[: 16 * _FIRST_BYTES], _FIRST_BYTES)
    except zlib.error:
        first = b""
    if is_dicom(first):
        return "a DICOM file packed by gzip (.dcm.gz)"
    for magic, kind in ((PNG_MAGIC, "a PNG picture"), (JPEG_MAGIC, "a JPEG picture")):
        if first.startswith(magic):
            return f"{kind} packed by gzip"
    packed = next((kind for offset, magic, kind in _KINDS if first.startswith(magic, offset)), None)
    return f"{packed} packed by gzip" if packed else "a gzip archive"
