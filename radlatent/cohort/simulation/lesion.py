"""Simulated lesions: random numbers in, PET and CT arrays out.

``draw`` makes every random choice of a patient, ``mirror`` reflects those choices at
the plane z = 0 of the volume, and ``render`` turns choices into arrays without
another random number. ``draw`` gives a patient and its mirror image the same
probability, and ``render`` commutes with the reflection bit by bit: both together are
why the planted gradient is invisible to mirror-invariant features (``simulate``).

Coordinates are millimeters from the center of the volume, axes z, y, x as in arrays;
z points to the head.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

__all__ = [
    "GRIDS",
    "SITES",
    "Draw",
    "Grid",
    "Lesion",
    "draw",
    "has_checkerboard",
    "mirror",
    "render",
]

#: Probability of 1, 2 and 3 lesions.
N_LESIONS_PROBABILITY = (0.5, 0.3, 0.2)

#: Lesion centers lie on a ring, 120 degrees apart, so that lesions never touch.
RING_RADIUS_MM = 31.0
RING_JITTER_MM = 2.0
CENTER_Z_MM = 24.0

RADIUS_MM = 12.0
RADIUS_LIMITS_MM = (6.0, 17.0)
#: Growth of log radius per unit of ``seen``, and its spread from lesion to lesion.
RADIUS_PER_SEEN = 0.15
RADIUS_SPREAD = 0.06
#: Spread of the log of the half-axes; their product keeps the radius.
AXIS_SPREAD = 0.10
#: The uptake of a lesion rises over this distance at its border.
EDGE_MM = 1.5

#: Growth of log texture amplitude per unit of ``seen``.
TEXTURE_PER_SEEN = 0.35
N_WAVES = 48

FWHM_PER_SIGMA = 2.3548200450309493


@dataclass(frozen=True)
class Grid:
    """Sampling and intensities of one modality; see the units of each value.

    Parameters
    ----------
    shape, spacing_mm
        Voxels and millimeters along z, y, x.
    background, lesion
        Mean intensity outside and inside a lesion, SUV or HU.
    gradient
        Intensity at the upper pole minus that at the center, times ``hidden``.
    texture, texture_mm
        Standard deviation at ``seen`` = 0 and correlation length.
    dtype
        Type of the stored voxels.
    """

    shape: tuple
    spacing_mm: tuple
    background: float
    lesion: float
    gradient: float
    texture: float
    texture_mm: float
    dtype: type

    def coordinates(self) -> list[np.ndarray]:
        """Return the z, y and x of all voxel centers, each broadcastable, in mm."""
        axes = [
            # exact in floating point under a change of sign, which mirror relies on
            (np.arange(n) - (n - 1) / 2) * s
            for n, s in zip(self.shape, self.spacing_mm, strict=True)
        ]
        return np.meshgrid(*axes, indexing="ij", sparse=True)


#: The grids share their center and nothing else.
GRIDS = {
    "pet": Grid((32, 36, 36), (3.0, 3.5, 3.5), 1.0, 6.5, 2.0, 0.9, 4.0, np.float32),
    "ct": Grid((40, 72, 72), (2.5, 1.8, 1.8), -80.0, 60.0, 100.0, 45.0, 3.0, np.int16),
}


@dataclass(frozen=True)
class Site:
    """A scanner: noise (standard deviation, SUV and HU) and PET resolution."""

    noise: dict
    pet_fwhm_mm: float


#: Two scanners, drawn independently of the planted factors.
SITES = {
    "A": Site({"pet": 0.15, "ct": 10.0}, 4.5),
    "B": Site({"pet": 0.30, "ct": 18.0}, 6.5),
}

#: Smoothing of the white noise, in voxels: neighboring voxels are correlated.
NOISE_SIGMA = {"pet": 0.7, "ct": 0.5}


@dataclass(frozen=True)
class Lesion:
    """An ellipsoid ``|form (p - center)| <= 1`` with plane waves for texture.

    Parameters
    ----------
    center_mm
        Shape (3,), z, y, x.
    form
        Shape (3, 3), per mm.
    waves
        Wave vectors of each modality, shape (n_waves, 3), per correlation length.
    phases
        Shape (n_waves,) for each modality, radians.
    """

    center_mm: np.ndarray
    form: np.ndarray
    waves: dict
    phases: dict


@dataclass(frozen=True)
class Draw:
    """Every random choice behind the images of one patient."""

    seen: float
    hidden: int
    site: str
    slice_order: str
    lesions: tuple
    noise: dict


def draw(rng: np.random.Generator) -> Draw:
    """Draw the factors, the lesions and the noise of one patient.

    Parameters
    ----------
    rng
        A ``numpy.random.Generator``; it is advanced.
    """
    seen = float(rng.standard_normal())
    hidden = int(rng.choice((-1, 1)))
    site = str(rng.choice(list(SITES)))
    slice_order = str(rng.choice(("feet_first", "head_first")))
    n_lesions = 1 + int(rng.choice(len(N_LESIONS_PROBABILITY), p=N_LESIONS_PROBABILITY))
    turn = rng.uniform(0, 2 * np.pi)
    lesions = tuple(
        _draw_lesion(rng, seen, turn + 2 * np.pi * k / 3) for k in range(n_lesions)
    )
    noise = {m: rng.standard_normal(grid.shape) for m, grid in GRIDS.items()}
    return Draw(seen, hidden, site, slice_order, lesions, noise)


def _draw_lesion(rng, seen, angle):
    while True:
        lesion = _draw_ellipsoid(rng, seen, angle)
        shapes = (_ellipsoid(grid, lesion)[1] <= 1 for grid in GRIDS.values())
        if not any(has_checkerboard(shape) for shape in shapes):
            return lesion


def has_checkerboard(shape: np.ndarray) -> bool:
    """Return whether two voxels of a mask touch at an edge only.

    Parameters
    ----------
    shape
        Boolean array, axes z, y, x.

    Notes
    -----
    Four voxels around an edge, two of them in the mask and diagonal, are where marching
    cubes has a choice, and pyradiomics' table chooses otherwise in the mirror: mesh
    volume changed by up to 1%. One PET lesion in 500 has such a place. The test is the
    same for a mask and its mirror image, so that redrawing favors neither.
    """
    for axes in ((0, 1), (0, 2), (1, 2)):
        corner = np.moveaxis(shape, axes, (0, 1))
        a, b = corner[:-1, :-1], corner[:-1, 1:]
        c, d = corner[1:, :-1], corner[1:, 1:]
        if ((a == d) & (b == c) & (a != b)).any():
            return True
    return False


def _draw_ellipsoid(rng, seen, angle):
    ring = RING_RADIUS_MM + rng.uniform(-RING_JITTER_MM, RING_JITTER_MM)
    z = rng.uniform(-CENTER_Z_MM, CENTER_Z_MM)
    center = np.array([z, ring * np.sin(angle), ring * np.cos(angle)])
    scale = RADIUS_PER_SEEN * seen + RADIUS_SPREAD * rng.standard_normal()
    radius = np.clip(RADIUS_MM * np.exp(scale), *RADIUS_LIMITS_MM)
    stretch = AXIS_SPREAD * rng.standard_normal(3)
    half_axes = radius * np.exp(stretch - stretch.mean())
    # rotation: Gaussian columns have no preferred direction, so up equals down
    rotation, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    return Lesion(
        center,
        rotation / half_axes[:, None],
        {m: rng.standard_normal((N_WAVES, 3)) for m in GRIDS},
        {m: rng.uniform(0, 2 * np.pi, N_WAVES) for m in GRIDS},
    )


def mirror(drawn: Draw) -> Draw:
    """Reflect a patient at z = 0: upside down, ``hidden`` negated, stored reversed."""
    flip = np.array([-1.0, 1.0, 1.0])
    lesions = tuple(
        Lesion(
            lesion.center_mm * flip,
            lesion.form * flip,
            {m: waves * flip for m, waves in lesion.waves.items()},
            lesion.phases,
        )
        for lesion in drawn.lesions
    )
    other = {"feet_first": "head_first", "head_first": "feet_first"}
    return replace(
        drawn,
        hidden=-drawn.hidden,
        slice_order=other[drawn.slice_order],
        lesions=lesions,
        noise={m: white[::-1] for m, white in drawn.noise.items()},
    )


def render(drawn: Draw, modality: str) -> tuple[np.ndarray, np.ndarray]:
    """Return image and mask of one modality, first slice nearest to the feet.

    Parameters
    ----------
    drawn
        The choices of ``draw``.
    modality
        ``"pet"`` or ``"ct"``.

    Returns
    -------
    tuple
        Image in SUV (float32) or HU (int16), and uint8 mask with labels 1, 2, ... in
        the order of the lesions; both of the shape of the modality's grid.
    """
    grid, site = GRIDS[modality], SITES[drawn.site]
    image = np.full(grid.shape, grid.background)
    mask = np.zeros(grid.shape, dtype=np.uint8)
    for label, lesion in enumerate(drawn.lesions, start=1):
        offset, radius = _ellipsoid(grid, lesion)
        mask[radius <= 1] = label
        _add_lesion(image, offset, radius, drawn, lesion, modality)
    if modality == "pet":
        sigma = [site.pet_fwhm_mm / FWHM_PER_SIGMA / s for s in grid.spacing_mm]
        image = ndimage.gaussian_filter(image, sigma)
    image += site.noise[modality] * _colored(drawn.noise[modality], modality)
    if modality == "pet":
        np.maximum(image, 0, out=image)  # an SUV is not negative
    else:
        np.rint(image, out=image)
    return image.astype(grid.dtype), mask


def _ellipsoid(grid, lesion):
    offset = [
        axis - center
        for axis, center in zip(grid.coordinates(), lesion.center_mm, strict=True)
    ]
    # sums are spelled out: a BLAS product may round a mirrored patient differently
    rows = [_dot(row, offset) for row in lesion.form]
    return offset, np.sqrt(rows[0] ** 2 + rows[1] ** 2 + rows[2] ** 2)


def _dot(vector, offset):
    return vector[0] * offset[0] + vector[1] * offset[1] + vector[2] * offset[2]


def _add_lesion(image, offset, radius, drawn, lesion, modality):
    grid = GRIDS[modality]
    mean_radius_mm = abs(np.linalg.det(lesion.form)) ** (-1 / 3)
    edge = EDGE_MM / mean_radius_mm
    weight = np.clip((1 + edge / 2 - radius) / edge, 0, 1)
    inside = weight > 0
    points = [np.broadcast_to(axis, grid.shape)[inside] for axis in offset]
    # half the height of the ellipsoid: the gradient spans the same range in all
    half_height_mm = np.sqrt(np.linalg.inv(lesion.form.T @ lesion.form)[0, 0])
    slope = drawn.hidden * grid.gradient / half_height_mm
    amplitude = grid.texture * np.exp(TEXTURE_PER_SEEN * drawn.seen)
    texture = _texture(points, lesion, modality)
    uptake = grid.lesion - grid.background + slope * points[0] + amplitude * texture
    image[inside] += weight[inside] * uptake


def _texture(points, lesion, modality):
    # plane waves with Gaussian wave vectors sample a Gaussian covariance
    # (Rahimi & Recht 2007, sec. 3), at any point and on any grid
    total = np.zeros(len(points[0]))
    waves = lesion.waves[modality] / GRIDS[modality].texture_mm
    for wave, phase in zip(waves, lesion.phases[modality], strict=True):
        total += np.cos(_dot(wave, points) + phase)
    return total * np.sqrt(2 / N_WAVES)


def _colored(white, modality):
    smooth = ndimage.gaussian_filter(white, NOISE_SIGMA[modality])
    # a delta through the same filter gives the factor by which it damps the noise
    delta = np.zeros((9, 9, 9))
    delta[4, 4, 4] = 1
    kernel = ndimage.gaussian_filter(delta, NOISE_SIGMA[modality])
    return smooth / np.sqrt((kernel**2).sum())
