"""Expert masks with the errors that networks make.

=========  =============================================================================
`draws`    what is drawn of errors: plain numbers
`apply`    a mask with the errors that were drawn
`kinds`    each kind of error, in one slice
=========  =============================================================================
"""

__all__ = []
