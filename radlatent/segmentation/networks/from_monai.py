"""Networks of MONAI with the settings of the field: numbers enter, modules leave.

MONAI is imported when one is built: it takes seconds. Every stage halves the image and
doubles the channels; what is called the width are those of the first stage.
"""

from collections.abc import Sequence

from torch import nn

from radlatent.errors import RadlatentError

__all__ = ["attention_unet", "swin_unetr", "unet"]

#: Stages of a U-Net: 64..1024 channels in Jiang's code at a width of 64.
_STAGES = 5


def unet(
    in_channels: int,
    n_classes: int,
    width: int,
    strides: Sequence[int | tuple[int, ...]],
    *,
    dimensions: int = 2,
    residual_units: int = 0,
) -> nn.Module:
    """Return MONAI's U-Net.

    Parameters
    ----------
    in_channels, n_classes
        Channels of the image, classes with background.
    width
        Channels of the first stage.
    strides
        Of each of the four halvings, as a number or one an axis.
    dimensions
        2 or 3.
    residual_units
        Convolutions of the residual unit of a stage; 0 is one plain convolution, 2 the
        ResU-Net of the field.

    Notes
    -----
    Its first convolution halves the image at once, which is what makes it fast on a
    CPU.

    References
    ----------
    Ronneberger et al. 2015, arXiv:1505.04597; Kerfoot et al. 2019 (residual units),
    doi:10.1007/978-3-030-12029-0_40
    """
    return _nets().UNet(
        dimensions,
        in_channels,
        n_classes,
        _channels(width),
        list(strides),
        num_res_units=residual_units,
    )


def attention_unet(in_channels: int, n_classes: int, width: int) -> nn.Module:
    """Return MONAI's Attention U-Net, 2D; parameters as of `unet`.

    References
    ----------
    Oktay et al. 2018, arXiv:1804.03999
    """
    return _nets().AttentionUnet(
        2, in_channels, n_classes, _channels(width), (2,) * (_STAGES - 1)
    )


def swin_unetr(
    in_channels: int, n_classes: int, width: int, *, dimensions: int = 3
) -> nn.Module:
    """Return MONAI's Swin UNETR; parameters as of `unet`.

    Raises
    ------
    RadlatentError
        The width is no multiple of 12: heads of the first stage times 4.

    References
    ----------
    Hatamizadeh et al. 2022, arXiv:2201.01266
    """
    if width % 12:
        msg = (
            f"network 'swin_unetr': width is {width}; give a multiple of 12 (published:"
            " 48)."
        )
        raise RadlatentError(msg)
    return _nets().SwinUNETR(
        in_channels, n_classes, feature_size=width, spatial_dims=dimensions
    )


def _channels(width):
    return [width * 2**stage for stage in range(_STAGES)]


def _nets():
    try:
        from monai.networks import nets
    except ImportError as error:
        msg = "this network is MONAI's. Install it: pip install 'radlatent[deep]'"
        raise RadlatentError(msg) from error
    return nets
