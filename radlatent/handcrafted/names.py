"""The columns of a hand-crafted table: fixed by the settings, whatever the data.

Names are those of pyradiomics 3.0.1, to the letter, without its deprecated members.
"""

from itertools import product

__all__ = ["FEATURES", "IMAGE_TYPES", "feature_names", "image_names"]

#: Feature class to its features, in pyradiomics' order.
FEATURES = {
    feature_class: tuple(names.split())
    for feature_class, names in {
        "firstorder": """
            10Percentile 90Percentile Energy Entropy InterquartileRange Kurtosis
            Maximum MeanAbsoluteDeviation Mean Median Minimum Range
            RobustMeanAbsoluteDeviation RootMeanSquared Skewness TotalEnergy
            Uniformity Variance
        """,
        "glcm": """
            Autocorrelation ClusterProminence ClusterShade ClusterTendency Contrast
            Correlation DifferenceAverage DifferenceEntropy DifferenceVariance Id
            Idm Idmn Idn Imc1 Imc2 InverseVariance JointAverage JointEnergy
            JointEntropy MCC MaximumProbability SumAverage SumEntropy SumSquares
        """,
        "gldm": """
            DependenceEntropy DependenceNonUniformity
            DependenceNonUniformityNormalized DependenceVariance
            GrayLevelNonUniformity GrayLevelVariance HighGrayLevelEmphasis
            LargeDependenceEmphasis LargeDependenceHighGrayLevelEmphasis
            LargeDependenceLowGrayLevelEmphasis LowGrayLevelEmphasis
            SmallDependenceEmphasis SmallDependenceHighGrayLevelEmphasis
            SmallDependenceLowGrayLevelEmphasis
        """,
        "glrlm": """
            GrayLevelNonUniformity GrayLevelNonUniformityNormalized
            GrayLevelVariance HighGrayLevelRunEmphasis LongRunEmphasis
            LongRunHighGrayLevelEmphasis LongRunLowGrayLevelEmphasis
            LowGrayLevelRunEmphasis RunEntropy RunLengthNonUniformity
            RunLengthNonUniformityNormalized RunPercentage RunVariance
            ShortRunEmphasis ShortRunHighGrayLevelEmphasis
            ShortRunLowGrayLevelEmphasis
        """,
        "glszm": """
            GrayLevelNonUniformity GrayLevelNonUniformityNormalized
            GrayLevelVariance HighGrayLevelZoneEmphasis LargeAreaEmphasis
            LargeAreaHighGrayLevelEmphasis LargeAreaLowGrayLevelEmphasis
            LowGrayLevelZoneEmphasis SizeZoneNonUniformity
            SizeZoneNonUniformityNormalized SmallAreaEmphasis
            SmallAreaHighGrayLevelEmphasis SmallAreaLowGrayLevelEmphasis ZoneEntropy
            ZonePercentage ZoneVariance
        """,
        "ngtdm": """
            Busyness Coarseness Complexity Contrast Strength
        """,
        "shape": """
            Elongation Flatness LeastAxisLength MajorAxisLength
            Maximum2DDiameterColumn Maximum2DDiameterRow Maximum2DDiameterSlice
            Maximum3DDiameter MeshVolume MinorAxisLength Sphericity SurfaceArea
            SurfaceVolumeRatio VoxelVolume
        """,
        "shape2D": """
            Elongation MajorAxisLength MaximumDiameter MeshSurface MinorAxisLength
            Perimeter PerimeterSurfaceRatio PixelSurface Sphericity
        """,
    }.items()
}

#: Image types with one derived image, and its name in the columns.
_SINGLE = {
    "Original": "original",
    "Square": "square",
    "SquareRoot": "squareroot",
    "Logarithm": "logarithm",
    "Exponential": "exponential",
    "Gradient": "gradient",
    "LBP2D": "lbp-2D",
}

IMAGE_TYPES = (*_SINGLE, "LoG", "Wavelet", "LBP3D")

_SHAPES = ("shape", "shape2D")


def image_names(image_type: str, options: dict) -> list[str]:
    """Return the names of the images that an image type derives.

    Parameters
    ----------
    image_type
        One of `IMAGE_TYPES`.
    options
        Its settings, as pyradiomics names them (``sigma``, ``level``, ``force2D``,
        ``lbp3DLevels``).

    Examples
    --------
    >>> image_names("LoG", {"sigma": [1.0, 3]})
    ['log-sigma-1-0-mm-3D', 'log-sigma-3-mm-3D']
    """
    if image_type in _SINGLE:
        return [_SINGLE[image_type]]
    if image_type == "LoG":
        sigmas = [str(sigma).replace(".", "-") for sigma in options["sigma"]]
        return [f"log-sigma-{sigma}-mm-3D" for sigma in sigmas]
    if image_type == "LBP3D":
        levels = range(1, options.get("lbp3DLevels", 2) + 1)
        return [*(f"lbp-3D-m{level}" for level in levels), "lbp-3D-k"]
    return _wavelet_names(options)


def _wavelet_names(options):
    n_axes = 2 if options.get("force2D") else 3
    names = []
    for level in range(1, options.get("level", 1) + 1):
        prefix = "wavelet" if level == 1 else f"wavelet{level}"
        bands = ["".join(band) for band in product("LH", repeat=n_axes)]
        # the approximation is given once, for the last level
        names += [f"{prefix}-{band}" for band in bands if "H" in band]
    return [*names, f"{prefix}-{'L' * n_axes}"]


def feature_names(classes: dict, images: dict) -> list[str]:
    """Return the names of all features, in pyradiomics' order.

    Parameters
    ----------
    classes
        Feature class to its enabled features.
    images
        Image type to its settings.
    """
    names = [
        f"original_{shape}_{feature}"
        for shape in _SHAPES
        for feature in classes.get(shape, ())
    ]
    for image_type, options in images.items():
        for image in image_names(image_type, options):
            names += [
                f"{image}_{feature_class}_{feature}"
                for feature_class, features in classes.items()
                if feature_class not in _SHAPES
                for feature in features
            ]
    return names
