"""A simulated patient under whole-body FDG-PET: random numbers in, SUV and mask out.

``draw_body`` makes every random choice of a patient, ``render_body`` turns choices
into arrays without another random number. Both work in millimeters (depth below the
top of the head, y toward the back, x toward the left) of the patient; the tables of
``anatomy`` are those of a reference adult, scaled here by stature and girth.
"""

from dataclasses import dataclass, replace

import numpy as np
from anatomy import (
    ARMS,
    BLADDER,
    HEAD,
    NECK_DEPTH,
    ORGANS,
    PATHS,
    REGIONS,
    THIGH,
    TORSO,
    Organ,
    Style,
)
from scipy import ndimage

__all__ = ["SHAPE", "SPACING_MM", "Body", "draw_body", "render_body"]

#: Voxels along z, y, x. 4 mm is the spacing of the PET latent-space report, halved in
#: resolution here so that a cohort is written and trained on with two cores.
SHAPE = (128, 48, 64)
SPACING_MM = 8.0

#: Uptake of the outer rim of the body and of what lies under it, SUV.
FAT, MUSCLE = 0.25, 0.6
#: Relative radius where the rim begins.
RIM = 0.88
#: Exponent of the outline of the trunk: 2 is an ellipse, more is boxier.
BOXINESS = 2.5

#: Radius of the smallest lesion and half-axis of the thinnest, mm. The farthest that
#: a point can be from a voxel center is 6.9 mm: no lesion falls between voxels.
MIN_RADIUS_MM, MIN_SEMI_MM = 9.0, 7.0
VOLUME_LIMITS_ML = (8.0, 3500.0)
LESION_SUV, LESION_SUV_LIMITS = 13.0, (5.0, 32.0)
#: Limit of the two lognormal tails, urine and injection site.
HOTTEST_SUV = 300.0
#: Standard deviation of the log uptake inside tissue, over about 30 mm.
TEXTURE = 0.12
NOISE_SIGMA = 0.6

#: Stored SUVs are multiples of this, exact in float32 and finer than the noise; digits
#: of noise take most of the time of writing.
SUV_STEP = 1 / 64

FWHM_PER_SIGMA = 2.3548200450309493


@dataclass(frozen=True)
class Body:
    """Every random choice behind the image of one patient.

    Parameters
    ----------
    sex, height_cm, weight_kg, arms
        The person; arms are ``"up"`` or ``"down"``.
    scanner, slice_order
        A name in the scanners of the style; ``"feet_first"`` or ``"head_first"``.
    center_mm
        World position of the center of the volume, LPS x, y, z.
    top_mm
        Distance from the upper border of the volume to the top of the head.
    calibration
        Factor of all uptake.
    organs, beads, lesions
        Ellipsoids in millimeters of this patient, in the order of painting; ``beads``
        are the arms.
    texture, noise
        Standard normal numbers: coarse, and of the shape of the volume.
    """

    sex: str
    height_cm: float
    weight_kg: float
    arms: str
    scanner: str
    slice_order: str
    center_mm: tuple
    top_mm: float
    calibration: float
    organs: dict
    beads: tuple
    lesions: tuple
    texture: np.ndarray
    noise: np.ndarray

    @property
    def stature(self) -> float:
        """Height relative to the reference adult."""
        return self.height_cm / 170

    @property
    def girth(self) -> float:
        """In-plane size relative to the reference adult."""
        bmi = self.weight_kg / (self.height_cm / 100) ** 2
        return float(np.clip(np.sqrt(bmi / 25 * self.stature), 0.82, 1.22))


def draw_body(rng: np.random.Generator, style: Style) -> Body:
    """Draw one patient.

    Parameters
    ----------
    rng
        A ``numpy.random.Generator``; it is advanced.
    style
        What the cohort of the patient is like.
    """
    sex = str(rng.choice(("F", "M")))
    height = np.clip(rng.normal(*{"F": (163, 6.5), "M": (176, 7)}[sex]), 148, 186)
    bmi = np.clip(25.5 * np.exp(0.16 * rng.standard_normal()), 17, 40)
    body = Body(
        sex=sex,
        height_cm=round(float(height), 1),
        weight_kg=round(float(bmi * (height / 100) ** 2), 1),
        arms="down" if rng.random() < style.arms_down else "up",
        scanner=str(rng.choice(list(style.scanners))),
        slice_order=str(rng.choice(("feet_first", "head_first"))),
        # not round numbers: code that forgets the origin is found out
        center_mm=tuple(np.array([3.7, -162.3, -618.9]) + rng.uniform(-20, 20, 3)),
        top_mm=float(rng.uniform(12, 32)),
        calibration=float(np.exp(style.calibration * rng.standard_normal())),
        organs={},
        beads=(),
        lesions=(),
        texture=rng.standard_normal((20, 8, 10)),
        noise=rng.standard_normal(SHAPE, dtype=np.float32),
    )
    organs, beads = _draw_organs(rng, style, body)
    return replace(
        body, organs=organs, beads=beads, lesions=_draw_lesions(rng, style, body)
    )


def _draw_organs(rng, style, body):
    arms = {side: _arm(body, side) for side in (-1, 1)}
    organs = {}
    for name, path in PATHS.items():
        suv = path.suv * np.exp(path.spread * rng.standard_normal())
        shown = rng.random() < path.chance
        places = _along(path.corners, path.step)
        patches = np.exp(path.patchy * rng.standard_normal(len(places)))
        for n, (place, patch) in enumerate(zip(places, patches, strict=True)):
            bead = Organ(tuple(place), (path.radius,) * 3, suv * patch)
            if shown:
                organs[f"{name}_{n}"] = _placed(bead, body)
    for name, organ in ORGANS.items():
        organs[name] = _placed(_varied(rng, organ, organ.suv), body)
    # both sides of the liver are one tissue
    organs["liver_left"] = replace(organs["liver_left"], suv=organs["liver"].suv)
    filling = np.exp(0.5 * rng.standard_normal()) ** (1 / 3)
    semi = tuple(filling * np.array(BLADDER.semi))
    suv = _hot(rng, style.bladder)
    organs["bladder"] = _placed(replace(BLADDER, semi=semi, suv=suv), body)
    side, place = int(rng.choice((-1, 1))), rng.uniform(0.3, 0.7)
    suv = _hot(rng, style.deposit)
    if rng.random() < style.extravasation:
        at = arms[side][int(place * len(arms[side]))]
        organs["deposit"] = replace(at, semi=(14.0, 12.0, 12.0), suv=suv)
    return organs, (*arms[-1], *arms[1])


def _hot(rng, distribution):
    median, spread = distribution
    return min(median * np.exp(spread * rng.standard_normal()), HOTTEST_SUV)


def _along(corners, step):
    """Return places every ``step`` mm along a line of straight pieces, shape (n, 3)."""
    corners = np.array(corners, dtype=float)
    lengths = np.linalg.norm(np.diff(corners, axis=0), axis=1)
    run = np.concatenate([[0], np.cumsum(lengths)])
    at = np.arange(0, run[-1], step)
    return np.stack([np.interp(at, run, axis) for axis in corners.T], axis=1)


def _arm(body, side):
    places = _along(ARMS[body.arms], 18)
    # very wide arms would leave the field of view
    scale = np.array([body.stature, 1, side * min(body.girth, 1.08)])
    radii = np.linspace(46, 34, len(places))
    return tuple(
        Organ(tuple(place * scale), (radius,) * 3, MUSCLE)
        for place, radius in zip(places, radii, strict=True)
    )


def _varied(rng, organ, suv):
    return replace(
        organ,
        center=tuple(np.array(organ.center) + rng.normal(0, (6, 3, 3))),
        semi=tuple(np.array(organ.semi) * np.exp(0.06 * rng.standard_normal(3))),
        suv=float(suv * np.exp(organ.spread * rng.standard_normal())),
    )


def _placed(organ, body):
    """Return an organ of the reference adult in this patient."""
    in_plane = body.girth if organ.center[0] > NECK_DEPTH else 1.0
    place = np.array([body.stature, in_plane, in_plane])
    # organs grow less than the body around them
    size = place ** (1.0, 0.6, 0.6)
    return replace(
        organ,
        center=tuple(place * organ.center),
        semi=tuple(size * organ.semi),
    )


def _draw_lesions(rng, style, body):
    """Return nodes and masses: few regions or many, of one total volume."""
    log_volume = np.log(style.volume_ml) + style.volume_spread * rng.standard_normal()
    volume = np.clip(np.exp(log_volume), *VOLUME_LIMITS_ML)
    spread = 0.5 + 0.9 * max(np.log(volume / 40), 0)
    n_regions = min(1 + rng.poisson(spread), len(REGIONS))
    weight = np.array([region.weight for region in REGIONS.values()])
    chosen = rng.choice(len(REGIONS), n_regions, replace=False, p=weight / weight.sum())
    regions = [
        list(REGIONS.values())[k] for k in chosen for _ in range(1 + rng.poisson(0.9))
    ]
    share = np.exp(1.1 * rng.standard_normal(len(regions)))
    volumes = volume * 1000 * share / share.sum()
    suv = LESION_SUV * np.exp(0.4 * rng.standard_normal())
    return tuple(
        _draw_lesion(rng, region, size, suv, body)
        for region, size in zip(regions, volumes, strict=True)
    )


def _draw_lesion(rng, region, volume_mm3, suv, body):
    radius = np.clip((0.75 / np.pi * volume_mm3) ** (1 / 3), MIN_RADIUS_MM, region.room)
    stretch = 0.2 * rng.standard_normal(3)
    semi = radius * np.exp(stretch - stretch.mean())
    uptake = np.clip(suv * np.exp(0.25 * rng.standard_normal()), *LESION_SUV_LIMITS)
    center = np.array(region.center) + region.scatter * rng.standard_normal(3).clip(
        -2, 2
    )
    # large masses may be necrotic inside
    core = rng.uniform(0.4, 1.0) if radius > 35 else 1.0
    lesion = Organ(tuple(center), (1.0,) * 3, float(uptake), core=float(core))
    return replace(_placed(lesion, body), semi=tuple(semi.clip(min=MIN_SEMI_MM)))


def render_body(body: Body, style: Style) -> tuple[np.ndarray, np.ndarray]:
    """Return image and tumor mask, first slice nearest to the feet.

    Parameters
    ----------
    body
        The choices of ``draw_body``.
    style
        The style they were drawn with.

    Returns
    -------
    tuple
        Image in SUV (float32) and mask (uint8, 1 in every lesion), both of ``SHAPE``.
    """
    scanner = style.scanners[body.scanner]
    inside, tissue = _tissue(body)
    image = tissue
    for organ in body.organs.values():
        _paint(image, organ, body)
    mask = np.zeros(SHAPE, dtype=np.uint8)
    for lesion in body.lesions:
        _paint(image, lesion, body, inside=inside, mask=mask)
    image *= np.exp(TEXTURE * _zoomed(body.texture)) * body.calibration
    sigma = scanner.fwhm_mm / FWHM_PER_SIGMA / SPACING_MM
    image = ndimage.gaussian_filter(image, sigma)
    noise = ndimage.gaussian_filter(body.noise, NOISE_SIGMA)
    # counts fall with the thickness of the body; air has little of either
    image += scanner.noise * body.girth / noise.std() * noise * np.sqrt(image + 0.03)
    np.maximum(image, 0, out=image)
    return np.rint(image / SUV_STEP) * np.float32(SUV_STEP), mask


def _coordinates(body, box=(slice(None),) * 3):
    """Return depth, y and x of voxel centers, mm, broadcastable."""
    axes = [(np.arange(n, dtype=np.float32) - (n - 1) / 2) * SPACING_MM for n in SHAPE]
    axes[0] = axes[0].max() + SPACING_MM / 2 - body.top_mm - axes[0]
    picked = [axis[part] for axis, part in zip(axes, box, strict=True)]
    return np.meshgrid(*picked, indexing="ij", sparse=True)


def _tissue(body):
    """Return how far each voxel is inside the body, 0 to 1, and its uptake, SUV."""
    depth, y, x = _coordinates(body)
    size = np.array([body.stature, body.girth, body.girth])
    at, wide, deep = np.array(TORSO).T * size[:, None]
    a, b = np.interp(depth, at, wide), np.interp(depth, at, deep)
    trunk = (np.abs(x / a) ** BOXINESS + np.abs(y / b) ** BOXINESS) ** (1 / BOXINESS)
    trunk = np.where((depth > at[0]) & (depth < at[-1]), trunk, np.inf)
    head = sum(
        ((c - center) / semi) ** 2
        for c, center, semi in zip((depth, y, x), HEAD.center, HEAD.semi, strict=True)
    )
    start, axis, radius, taper = THIGH
    radius = radius * body.girth - taper * np.maximum(depth - start * body.stature, 0)
    thigh = np.hypot(np.abs(x) - axis * body.girth, y) / radius
    thigh = np.where(depth > start * body.stature, thigh, np.inf)
    relative = np.minimum(np.minimum(trunk, np.sqrt(head)), thigh)
    inside = np.clip(0.5 + (1 - relative) * 80 / SPACING_MM, 0, 1).astype(np.float32)
    image = inside * np.where(relative < RIM, MUSCLE, FAT).astype(np.float32)
    for bead in body.beads:
        _paint(image, bead, body, inside=inside)
    return inside, image


def _paint(image, organ, body, *, inside=None, mask=None):
    """Put an ellipsoid into an image, blending over one voxel at its surface.

    With ``inside`` it extends the body, with ``mask`` too it is a lesion of the body;
    both leave alone what is hotter.
    """
    box = _box(organ, body)
    squared = sum(
        ((c - center) / semi) ** 2
        for c, center, semi in zip(
            _coordinates(body, box), organ.center, organ.semi, strict=True
        )
    )
    radius = np.sqrt(squared)
    weight = np.clip(0.5 + (1 - radius) * min(organ.semi) / SPACING_MM, 0, 1)
    uptake = organ.suv * (organ.core + (1 - organ.core) * np.minimum(radius, 1) ** 2)
    if mask is not None:
        weight *= inside[box]
        mask[box] |= (radius <= 1) & (inside[box] >= 0.5)
    painted = image[box] * (1 - weight) + uptake * weight
    if inside is not None:
        inside[box] = np.maximum(inside[box], weight)
        painted = np.maximum(painted, image[box])
    image[box] = painted


def _box(organ, body):
    """Return the slices that hold an ellipsoid and a voxel around it."""
    center = np.array(organ.center) * (-1, 1, 1)
    center[0] += SHAPE[0] * SPACING_MM / 2 - body.top_mm
    middle = center / SPACING_MM + (np.array(SHAPE) - 1) / 2
    reach = np.array(organ.semi) / SPACING_MM + 1
    low = np.clip(np.floor(middle - reach), 0, SHAPE).astype(int)
    high = np.clip(np.ceil(middle + reach) + 1, 0, SHAPE).astype(int)
    return tuple(slice(a, b) for a, b in zip(low, high, strict=True))


def _zoomed(coarse):
    factors = np.array(SHAPE) / coarse.shape
    return ndimage.zoom(coarse.astype(np.float32), factors, order=1)
