"""What a crop must keep around a lesion, so that its values are those of the volume."""

from radlatent.handcrafted.settings import Options
from radlatent.imaging import expand_box

__all__ = ["box_around"]

Box = tuple[slice, slice, slice]


def box_around(
    tight: Box,
    image_type: str,
    options: Options,
    spacing_mm: tuple[float, float, float],
    shape: tuple[int, int, int],
) -> Box:
    """Return the box that an image type needs around a lesion.

    Parameters
    ----------
    tight
        The box of the lesion.
    image_type, options
        As the settings have them.
    spacing_mm
        Voxel size, axes (z, y, x), in mm.
    shape
        Of the image.
    """
    margins = options.reach_voxels(image_type, spacing_mm)
    box = expand_box(tight, margins, shape)
    if image_type != "Wavelet":
        return box
    # a wavelet continues an image periodically: where its edge is in reach, the far
    # side is the neighbor there
    return tuple(
        slice(0, n) if edge.start < margin or edge.stop + margin > n else part
        for edge, part, margin, n in zip(tight, box, margins, shape, strict=True)
    )
