"""Dice without a reference, with limits that hold for new patients.

=============  =========================================================================
`predictor`    what is known of masks enters, Dice, interval and flag leave
`regression`   the regression behind it
`conformal`    limits that hold for new patients
`judgment`     how good predictions are
=============  =========================================================================
"""

__all__ = []
