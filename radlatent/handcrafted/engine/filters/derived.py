"""Images derived from an image, cut to the lesion: pyradiomics' image types.

Each looks only as far around the lesion as its filter reaches. The filters are those
of SimpleITK, PyWavelets, scikit-image and SciPy, except for the Laplacian of Gaussian.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np
import pywt

from radlatent.handcrafted.engine.filters.laplacian import laplacian_of_gaussian
from radlatent.handcrafted.engine.prepare import Prepared
from radlatent.handcrafted.names import image_names
from radlatent.handcrafted.settings import Options
from radlatent.imaging import crop, gradient_magnitude

__all__ = ["derived_images"]


def derived_images(
    lesion: Prepared, image_type: str, options: Options
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name of each image of a type, and its voxels in the lesion's box.

    Parameters
    ----------
    lesion
        The lesion.
    image_type
        As in the settings: ``Original``, ``Wavelet``, ``LoG``, ...
    options
        Of this image type.
    """
    names = image_names(image_type, options.model_dump(exclude_unset=True))
    images = _MAKERS[image_type](lesion, options)
    for name, image in zip(names, images, strict=True):
        if image is not None:
            yield name, image


def _original(lesion, options):
    yield lesion.image.array[lesion.box]


def _around(lesion, image_type, options):
    """Return a crop around the lesion, and the lesion's box in it."""
    spacing_mm, shape = lesion.image.spacing_mm, lesion.image.shape
    box = options.box_around(image_type, lesion.box, spacing_mm, shape)
    inner = tuple(
        slice(tight.start - part.start, tight.stop - part.start)
        for tight, part in zip(lesion.box, box, strict=True)
    )
    return crop(lesion.image, box), inner


def _log(lesion, options):
    image = lesion.image
    for sigma in options.sigma:
        needed = np.ceil(sigma / np.array(image.spacing_mm)) + 1
        if min(image.shape) < 4 or (image.shape < needed).any():
            yield None  # wider than the image
            continue
        only = options.model_copy(update={"sigma": [sigma]})
        around, inner = _around(lesion, "LoG", only)
        yield laplacian_of_gaussian(around.array, sigma, around.spacing_mm, inner)


def _wavelet(lesion, options):
    around, inner = _around(lesion, "Wavelet", options)
    axes = [2, 1, 0]
    if options.force2D:
        axes.remove(options.force2Ddimension)
    data = np.pad(around.array, [(0, n % 2) for n in around.shape], "wrap")
    low = "a" * len(axes)

    def one_level(data):
        return pywt.swtn(data, options.wavelet, level=1, start_level=0, axes=axes)[0]

    for _ in range(options.start_level):
        data = one_level(data)[low]
    for _ in range(options.level):
        bands = one_level(data)
        data = bands[low]
        for band in product("ad", repeat=len(axes)):
            if "d" in band:
                yield bands["".join(band)][inner]
    yield data[inner]


def _gradient(lesion, options):
    around, inner = _around(lesion, "Gradient", options)
    image = gradient_magnitude(around, use_spacing=options.gradientUseSpacing)
    yield image.array[inner]


def _largest(image):
    """Return the extreme of an image, by which images are divided."""
    largest = _extreme(image)
    if largest == 0:
        msg = "the image is 0 everywhere: it has no Square, Logarithm or Exponential"
        raise ValueError(msg)
    return largest


def _extreme(image):
    """Return the largest absolute value of a whole image."""
    return max(float(image.array.max()), -float(image.array.min()))


def _square(lesion, options):
    coefficient = 1 / np.sqrt(_largest(lesion.image))
    yield (coefficient * lesion.image.array[lesion.box].astype(float)) ** 2


def _square_root(lesion, options):
    coefficient = _extreme(lesion.image)
    image = lesion.image.array[lesion.box].astype(float)
    yield np.sign(image) * np.sqrt(np.abs(image) * coefficient)


def _logarithm(lesion, options):
    largest = _largest(lesion.image)
    image = lesion.image.array[lesion.box].astype(float)
    logarithm = np.sign(image) * np.log(np.abs(image) + 1)
    yield logarithm * (largest / np.log(largest + 1))


def _exponential(lesion, options):
    largest = _largest(lesion.image)
    coefficient = np.log(largest) / largest
    yield np.exp(coefficient * lesion.image.array[lesion.box].astype(float))


def _lbp2d(lesion, options):
    # it loads scikit-image, which takes longer than most lesions
    from radlatent.handcrafted.engine.filters.lbp import lbp2d_image

    around, inner = _around(lesion, "LBP2D", options)
    yield lbp2d_image(around.array, options)[inner]


def _lbp3d(lesion, options):
    from radlatent.handcrafted.engine.filters.lbp import lbp3d_images

    around, inner = _around(lesion, "LBP3D", options)
    yield from lbp3d_images(around.array, inner, lesion.mask, options)


_MAKERS = {
    "Original": _original,
    "Wavelet": _wavelet,
    "LoG": _log,
    "Square": _square,
    "SquareRoot": _square_root,
    "Logarithm": _logarithm,
    "Exponential": _exponential,
    "Gradient": _gradient,
    "LBP2D": _lbp2d,
    "LBP3D": _lbp3d,
}
