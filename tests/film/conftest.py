"""DICOM films of every make, built from their words; what a file says of them may be anything."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, JPEGLossless, JPEGLosslessSV1


@pytest.fixture(scope="session")
def dicom_bytes(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """Return a function that gives the bytes of a DICOM film.

    ``words`` (H, W), or (H, W, 3), are encoded as they stand, ``bits`` of each; further words set elements of the file
    after that, None deletes them.
    """
    folder = tmp_path_factory.mktemp("dicom")

    def build(words: np.ndarray, *, syntax: UID = ExplicitVRLittleEndian, bits: int = 0, **elements: Any) -> bytes:
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3.4"
        made.Modality, made.BodyPartExamined, made.ViewPosition = "DX", "CHEST", "PA"
        made.PatientName, made.PatientID = "SECRET^PATIENT", "SECRET-4711"
        made.Rows, made.Columns = words.shape[:2]
        made.SamplesPerPixel = 1 if words.ndim == 2 else 3
        made.PhotometricInterpretation = "MONOCHROME2" if words.ndim == 2 else "RGB"
        if words.ndim == 3:
            made.PlanarConfiguration = 0
        made.BitsAllocated = words.dtype.itemsize * 8
        made.BitsStored = bits or made.BitsAllocated
        made.HighBit, made.PixelRepresentation = made.BitsStored - 1, int(words.dtype.kind == "i")
        made.PixelData = words.astype(words.dtype.newbyteorder(">" if syntax == ExplicitVRBigEndian else "<")).tobytes()
        made["PixelData"].VR = "OW" if words.dtype.itemsize > 1 else "OB"
        if syntax in (JPEGLossless, JPEGLosslessSV1):
            made = _by_gdcm(made, syntax, folder)
        elif syntax.is_encapsulated:
            made.compress(syntax, generate_instance_uid=False)
        else:
            made.file_meta.TransferSyntaxUID = syntax
        stream = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # real files break the standard, and so do these
            for keyword, value in elements.items():
                if value is None:
                    delattr(made, keyword)
                else:
                    setattr(made, keyword, value)
            pydicom.dcmwrite(stream, made, enforce_file_format=True)
        return stream.getvalue()

    return build


def _by_gdcm(made: Dataset, syntax: UID, folder: Path) -> Dataset:
    """A film compressed by GDCM."""
    import gdcm

    source, target = folder / "plain.dcm", folder / "compressed.dcm"
    pydicom.dcmwrite(source, made, enforce_file_format=True)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return pydicom.dcmread(target)
