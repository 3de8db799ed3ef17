"""What readers change in the masks of a network, learned from pairs of both.

==========  ============================================================================
`reviser`   the network that revises masks: fits, revises, is kept on disk
`pairs`     masks of a network and of a reader, of the same patients
`views`     what it looks at: mask, slices beside it and image, in the frame
==========  ============================================================================
"""

__all__ = []
