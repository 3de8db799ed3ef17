"""The reference engine: pyradiomics 3.0.1, one lesion at a time.

A volume, a mask and settings enter; feature names and values leave. The only module
that imports pyradiomics, and only when it is called.
"""

import functools
import importlib.metadata
import json
import logging
import threading
import warnings

import numpy as np

from radlatent.handcrafted.settings import Settings
from radlatent.imaging import Volume, to_sitk

__all__ = ["measure", "version"]

#: The YAML parser behind the extractor is shared by all threads of a process.
_building = threading.Lock()

_HINT = (
    "the engine 'pyradiomics' is not installed. It needs Python 3.11 and a C compiler: "
    "pip install numpy setuptools && "
    "pip install --no-build-isolation pyradiomics==3.0.1 ('radlatent doctor' checks)."
)


def version() -> str:
    """Return the version of pyradiomics, or raise with the way to install it.

    Raises
    ------
    ImportError
        pyradiomics is not installed.
    """
    try:
        return importlib.metadata.version("pyradiomics")
    except importlib.metadata.PackageNotFoundError as error:
        raise ImportError(_HINT) from error


def measure(image: Volume, mask: Volume, settings: Settings) -> dict[str, float]:
    """Return every feature that pyradiomics gives for one lesion.

    Parameters
    ----------
    image
        Intensities.
    mask
        Booleans on the same grid.
    settings
        What to measure.

    Returns
    -------
    dict
        Feature name, as `Settings.names`, to value. A name is missing where
        pyradiomics gives no value, as for a filter wider than the image.
    """
    if settings.ibsi is not None:
        msg = "section 'ibsi' of the settings is unknown to pyradiomics"
        raise ValueError(msg)
    with _building:
        extractor = _extractor(json.dumps(settings.parameters))
    with np.errstate(all="ignore"):
        values = extractor.execute(to_sitk(image), to_sitk(mask), label=1)
    # an eigenvalue that is complex by rounding: MCC
    return {name: float(np.real(np.squeeze(v))) for name, v in values.items()}


@functools.lru_cache(maxsize=4)
def _extractor(parameters):
    try:
        from radiomics.featureextractor import RadiomicsFeatureExtractor
    except ImportError as error:
        raise ImportError(_HINT) from error
    # importing it sets a handler and a level of its own; what matters is raised
    logging.getLogger("radiomics").setLevel(logging.CRITICAL)
    # means of nothing in a tiny lesion: the values themselves are looked at later
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="radiomics")
    return RadiomicsFeatureExtractor(json.loads(parameters))
