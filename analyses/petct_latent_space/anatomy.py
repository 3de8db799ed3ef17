"""What a simulated body under FDG-PET consists of: numbers only, no randomness.

Places are millimeters in a reference adult of 1.70 m and 25 kg/m2: ``depth`` below the
top of the head, ``y`` toward the back, ``x`` toward the left. Uptake is in SUV.
The values were set by hand to lie in the ranges of clinical FDG-PET, and fitted to no
images.
"""

from dataclasses import dataclass

__all__ = [
    "ARMS",
    "BLADDER",
    "HEAD",
    "NECK_DEPTH",
    "ORGANS",
    "PATHS",
    "REGIONS",
    "STYLES",
    "THIGH",
    "TORSO",
    "Organ",
    "Path",
    "Region",
    "Scanner",
    "Style",
]


@dataclass(frozen=True)
class Organ:
    """An ellipsoid of uptake.

    Parameters
    ----------
    center, semi
        Center and half-axes: depth, y, x, in mm.
    suv, spread
        Median uptake, and standard deviation of its logarithm from patient to patient.
    core
        Uptake at the center relative to the rim: below 1 for a wall around a cavity.
    """

    center: tuple
    semi: tuple
    suv: float
    spread: float = 0.15
    core: float = 1.0


@dataclass(frozen=True)
class Path:
    """A tube of uptake: beads along corners (depth, y, x), in mm.

    Parameters
    ----------
    corners
        Places the tube runs through.
    radius
        Of the beads, in mm.
    step
        Distance of the beads, in mm.
    suv, spread
        As for an organ.
    patchy
        Standard deviation of the logarithm of uptake from bead to bead.
    chance
        Probability that a patient shows it.
    """

    corners: tuple
    radius: float
    step: float
    suv: float
    spread: float = 0.15
    patchy: float = 0.0
    chance: float = 1.0


@dataclass(frozen=True)
class Region:
    """Where lymphoma may lie.

    Parameters
    ----------
    center, scatter
        Mean and standard deviation of lesion centers: depth, y, x, in mm.
    room
        Largest radius of a lesion there, in mm.
    weight
        How often it is involved, relative to the others.
    """

    center: tuple
    scatter: tuple
    room: float
    weight: float


@dataclass(frozen=True)
class Scanner:
    """Resolution (full width at half maximum, mm) and relative noise at SUV 1."""

    fwhm_mm: float
    noise: float


@dataclass(frozen=True)
class Style:
    """What differs between the cohorts.

    Parameters
    ----------
    prefix
        Of the patient ids.
    scanners
        Name to scanner; each as likely as the others.
    calibration
        Standard deviation of the logarithm of the scale of a scan: errors of injected
        dose, weight and uptake time act on the whole image.
    bladder
        Median SUV of the urine and standard deviation of its logarithm.
    extravasation, deposit
        Probability of a deposit at the injection site, and its median SUV and the
        standard deviation of its logarithm.
    volume_ml, volume_spread
        Median of the tumor volume drawn, and standard deviation of its logarithm.
    arms_down
        Probability of a scan with the arms beside the body.
    """

    prefix: str
    scanners: dict
    calibration: float
    bladder: tuple
    extravasation: float
    deposit: tuple
    volume_ml: float
    volume_spread: float
    arms_down: float


#: Masks hold less than the volume drawn, where a mass fills its room or meets another:
#: their medians are about 230 and 400 mL, on both sides of the 308 mL of five studies
#: of DLBCL (Mikhaeel et al. 2022, PMC9287279).
STYLES = {
    "remarc": Style(
        prefix="R",
        scanners={"A": Scanner(9.0, 0.11), "B": Scanner(10.5, 0.15)},
        calibration=0.10,
        bladder=(18.0, 0.50),
        extravasation=0.03,
        deposit=(25.0, 0.5),
        volume_ml=400.0,
        volume_spread=1.1,
        arms_down=0.2,
    ),
    "lnh073b": Style(
        prefix="L",
        scanners={"C": Scanner(11.0, 0.20), "D": Scanner(13.0, 0.26)},
        calibration=0.20,
        bladder=(30.0, 0.80),
        extravasation=0.12,
        deposit=(130.0, 0.7),
        volume_ml=560.0,
        volume_spread=1.1,
        arms_down=0.35,
    ),
}

#: Half-widths of trunk and neck by depth: depth, left-right, front-back, in mm.
TORSO = (
    (195, 54, 58),
    (245, 58, 58),
    (275, 90, 66),
    (305, 165, 80),
    (345, 184, 95),
    (410, 168, 106),
    (480, 160, 112),
    (560, 154, 110),
    (650, 148, 105),
    (700, 152, 104),
    (780, 170, 110),
    (850, 176, 112),
    (900, 176, 108),
)
#: In-plane size follows the girth below this depth, mm.
NECK_DEPTH = 240.0
HEAD = Organ((112, -5, 0), (112, 95, 76), 0.7)
#: Upper end, distance of the axis from the midline, radius and taper (mm per mm).
THIGH = (880.0, 86.0, 84.0, 0.06)

#: Corners of the left arm. Arms up leave the field of view above the elbow.
ARMS = {
    "down": ((322, 5, 168), (560, 15, 206), (790, -20, 208)),
    "up": ((322, 0, 160), (170, 5, 192), (-60, -10, 120)),
}

#: In the order in which they are painted: a later one covers an earlier one.
ORGANS = {
    "brain": Organ((80, -4, 0), (60, 80, 64), 9.5, 0.16, 0.55),
    "thalami": Organ((88, -2, 0), (16, 22, 22), 9.0, 0.12),
    "cerebellum": Organ((126, 38, 0), (22, 30, 44), 7.5, 0.15),
    "tonsil_right": Organ((205, -12, -20), (11, 10, 8), 3.2, 0.35),
    "tonsil_left": Organ((205, -12, 20), (11, 10, 8), 3.2, 0.35),
    "parotid_right": Organ((175, 5, -58), (18, 12, 9), 1.8, 0.3),
    "parotid_left": Organ((175, 5, 58), (18, 12, 9), 1.8, 0.3),
    "larynx": Organ((258, -30, 0), (12, 9, 12), 2.0, 0.4),
    "lung_right": Organ((445, 5, -82), (122, 82, 58), 0.38, 0.15),
    "lung_left": Organ((445, 5, 82), (122, 82, 56), 0.38, 0.15),
    "mediastinum": Organ((430, -5, 0), (110, 60, 32), 1.5, 0.12),
    "blood_pool": Organ((510, -35, 22), (50, 48, 52), 1.7, 0.12),
    "myocardium": Organ((520, -38, 42), (38, 36, 36), 3.0, 0.7, 0.35),
    "stomach": Organ((590, -30, 68), (40, 34, 36), 1.9, 0.3, 0.6),
    "liver": Organ((600, -8, -66), (82, 82, 74), 2.25, 0.10),
    "liver_left": Organ((572, -42, 8), (42, 44, 62), 2.25, 0.10),
    "spleen": Organ((600, 48, 106), (52, 44, 26), 1.9, 0.12),
    "kidney_right": Organ((680, 55, -64), (54, 28, 28), 4.0, 0.25, 0.8),
    "kidney_left": Organ((668, 55, 64), (54, 28, 28), 4.0, 0.25, 0.8),
    "calyces_right": Organ((682, 48, -50), (22, 11, 11), 8.0, 0.6),
    "calyces_left": Organ((670, 48, 50), (22, 11, 11), 8.0, 0.6),
    "small_bowel": Organ((735, -35, 0), (62, 42, 78), 1.2, 0.3),
    "ilium_right": Organ((765, 48, -92), (56, 36, 20), 1.0, 0.2),
    "ilium_left": Organ((765, 48, 92), (56, 36, 20), 1.0, 0.2),
    "sacrum": Organ((780, 82, 0), (48, 18, 40), 1.2, 0.2),
    "femur_right": Organ((880, 15, -98), (36, 22, 22), 0.9, 0.2),
    "femur_left": Organ((880, 15, 98), (36, 22, 22), 0.9, 0.2),
}
#: Half-axes are those of 150 mL; uptake is that of the style.
BLADDER = Organ((858, -22, 0), (30, 34, 38), 0.0)

_SPINE = ((255, 50, 0), (440, 72, 0), (620, 66, 0), (750, 58, 0))
_AORTA = ((395, -5, 12), (400, 30, 20), (560, 45, 12), (710, 38, 4))
_URETER = ((705, 45, 48), (770, 30, 40), (850, 10, 22))
_COLON = (
    (810, -25, -108),
    (690, -20, -112),
    (705, -62, 0),
    (670, -15, 112),
    (800, 0, 112),
    (850, 35, 30),
)
PATHS = {
    "spine": Path(_SPINE, 17, 27, 1.5, 0.25),
    "sternum": Path(((340, -84, 0), (490, -94, 0)), 10, 14, 1.0, 0.2),
    "aorta": Path(_AORTA, 12, 12, 1.8),
    "colon": Path(_COLON, 17, 20, 1.3, 0.45, 0.35),
    "ureter_left": Path(_URETER, 6, 8, 3.0, 0.5, 1.0, 0.3),
    "ureter_right": Path(
        tuple((d, y, -x) for d, y, x in _URETER), 6, 8, 3.0, 0.5, 1.0, 0.3
    ),
}

REGIONS = {
    "cervical_right": Region((240, 2, -42), (16, 8, 6), 24, 1.0),
    "cervical_left": Region((240, 2, 42), (16, 8, 6), 24, 1.0),
    "supraclavicular_right": Region((292, -8, -78), (8, 10, 14), 26, 0.8),
    "supraclavicular_left": Region((292, -8, 78), (8, 10, 14), 26, 1.0),
    "axilla_right": Region((385, 0, -138), (16, 14, 8), 30, 0.7),
    "axilla_left": Region((385, 0, 138), (16, 14, 8), 30, 0.7),
    "mediastinum": Region((425, -25, 5), (28, 14, 18), 60, 1.2),
    "hilum_right": Region((455, 5, -48), (10, 8, 8), 24, 0.5),
    "hilum_left": Region((455, 5, 48), (10, 8, 8), 24, 0.5),
    "para_aortic": Region((700, 22, 5), (30, 10, 18), 64, 1.3),
    "mesentery": Region((715, -32, 0), (24, 12, 28), 70, 1.1),
    "spleen": Region((600, 46, 104), (18, 12, 8), 44, 0.5),
    "stomach": Region((590, -30, 66), (14, 10, 12), 34, 0.4),
    "spine": Region((560, 66, 0), (130, 4, 4), 15, 0.6),
    "iliac_right": Region((790, 8, -66), (20, 10, 12), 44, 0.9),
    "iliac_left": Region((790, 8, 66), (20, 10, 12), 44, 0.9),
    "inguinal_right": Region((880, -52, -74), (10, 8, 10), 26, 0.8),
    "inguinal_left": Region((880, -52, 74), (10, 8, 10), 26, 0.8),
}
