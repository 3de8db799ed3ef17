"""DICOM files that the tests write: one slice a file, tags as they are asked for."""

import importlib.util

import numpy as np
import pytest

if not all(map(importlib.util.find_spec, ("pydicom", "highdicom"))):
    collect_ignore_glob = ["test_*.py"]

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
PET = "1.2.840.10008.5.1.4.1.1.128"

#: A scan of 370 MBq F-18 an hour after injection, 70 kg.
PET_TAGS = {
    "Modality": "PT",
    "Units": "BQML",
    "DecayCorrection": "START",
    "CorrectedImage": ["DECY", "ATTN", "SCAT"],
    "SeriesDate": "20200102",
    "SeriesTime": "110000",
    "AcquisitionDate": "20200102",
    "AcquisitionTime": "110000",
    "PatientWeight": "70",
    "PatientSize": "1.75",
    "PatientSex": "F",
}
DRUG = {
    "RadiopharmaceuticalStartTime": "100000",
    "RadionuclideTotalDose": "370000000",
    "RadionuclideHalfLife": "6586.2",
}


class Writer:
    """Writes series, structure sets and segmentations into a folder."""

    def __init__(self, folder):
        self.folder = folder

    def uid(self, *parts):
        """Return the same UID for the same parts."""
        from pydicom.uid import generate_uid

        return generate_uid(entropy_srcs=[str(part) for part in parts])

    def file(self, kind, uid, name="", **tags):
        """Return a dataset of one file; a tag that is None is left out."""
        from pydicom.dataset import Dataset, FileMetaDataset
        from pydicom.uid import ExplicitVRLittleEndian

        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = kind
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = uid
        made.PatientID, made.PatientName = "anna", "Anna^A"
        made.PatientBirthDate, made.PatientSex = "", "F"
        made.StudyInstanceUID = self.uid("study")
        made.StudyDate, made.StudyTime = "20200102", "090000"
        made.FrameOfReferenceUID = self.uid("frame")
        made.SeriesInstanceUID = self.uid("series", name)
        made.SeriesNumber, made.StudyID, made.AccessionNumber = "1", "1", ""
        made.PositionReferenceIndicator = made.ReferringPhysicianName = ""
        for tag, value in tags.items():
            if value is not None:
                setattr(made, tag, value)
            elif tag in made:
                delattr(made, tag)
        return made

    def slices(self, voxels, *, name="ct", kind=CT, spacing_mm=(2.0, 1.0, 1.0), **tags):
        """Return the datasets of an image: stored values, shape (z, y, x)."""
        voxels = np.asarray(voxels)
        modality = {CT: "CT", MR: "MR", PET: "PT"}[kind]
        found = []
        for k, values in enumerate(voxels):
            made = self.file(kind, self.uid(name, k), name, Modality=modality)
            made.Rows, made.Columns = values.shape
            made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
            bits = 8 * values.dtype.itemsize
            made.BitsAllocated = made.BitsStored = bits
            made.HighBit = bits - 1
            made.PixelRepresentation = int(values.dtype.kind == "i")
            made.PixelSpacing = list(spacing_mm[1:])
            made.SliceThickness = spacing_mm[0]
            made.InstanceNumber = k + 1
            made.ImagePositionPatient = [-10.0, -20.0, 5.0 + k * spacing_mm[0]]
            made.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
            made.RescaleSlope, made.RescaleIntercept = "1", "0"
            made.PixelData = values.tobytes()
            for tag, value in tags.items():
                setattr(made, tag, value)
            found.append(made)
        return found

    def pet(self, voxels, *, drug=(), **tags):
        """Return the datasets of a PET image."""
        from pydicom.dataset import Dataset

        tags, item = PET_TAGS | tags, Dataset()
        for tag, value in (DRUG | dict(drug)).items():
            if value is not None:
                setattr(item, tag, value)
        known = {tag: value for tag, value in tags.items() if value is not None}
        made = self.slices(voxels, name="pet", kind=PET, **known)
        for one in made:
            one.RadiopharmaceuticalInformationSequence = [item]
        return made

    def save(self, datasets, stem="slice"):
        """Write datasets as files, and return the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for k, made in enumerate(datasets):
            made.save_as(self.folder / f"{stem}{k:03d}.dcm", enforce_file_format=True)
        return self.folder

    def structures(self, regions, *, on=(), **tags):
        """Return an RTSTRUCT of name to contours, shape (n, 3) each, or (type, them).

        ``on`` are the datasets of the series that it names.
        """
        from pydicom.dataset import Dataset

        kind = "1.2.840.10008.5.1.4.1.1.481.3"
        made = self.file(kind, self.uid("rt"), "rt", Modality="RTSTRUCT", **tags)
        made.StructureSetLabel = "x"
        made.StructureSetROISequence, made.ROIContourSequence = [], []
        for number, (name, contours) in enumerate(regions.items(), start=1):
            region, drawn = Dataset(), Dataset()
            region.ROINumber, region.ROIName = number, name
            region.ReferencedFrameOfReferenceUID = self.uid("frame")
            drawn.ReferencedROINumber, items = number, []
            for contour in contours:
                how, points = ("CLOSED_PLANAR", contour)
                if isinstance(contour, tuple):
                    how, points = contour
                item = Dataset()
                item.ContourGeometricType = how
                item.NumberOfContourPoints = len(points)
                item.ContourData = [f"{v:.6f}"[:16] for v in np.ravel(points)]
                items.append(item)
            if items:
                drawn.ContourSequence = items
            made.StructureSetROISequence.append(region)
            made.ROIContourSequence.append(drawn)
        if on:
            frame, study, series = Dataset(), Dataset(), Dataset()
            series.SeriesInstanceUID = on[0].SeriesInstanceUID
            study.RTReferencedSeriesSequence = [series]
            frame.FrameOfReferenceUID = on[0].FrameOfReferenceUID
            frame.RTReferencedStudySequence = [study]
            made.ReferencedFrameOfReferenceSequence = [frame]
        return made


@pytest.fixture
def write(tmp_path):
    """Return a writer of DICOM files into an empty folder."""
    from pydicom.config import IGNORE, settings

    before = settings.reading_validation_mode
    # files of the world are not as they should be
    settings.reading_validation_mode = settings.writing_validation_mode = IGNORE
    yield Writer(tmp_path / "dicom")
    settings.reading_validation_mode = before
    settings.writing_validation_mode = None


@pytest.fixture
def headers_of():
    """Return a function: the headers of the files of a folder."""
    from radlatent.imaging.dicom.headers import read_header

    return lambda folder: [read_header(path) for path in sorted(folder.iterdir())]
