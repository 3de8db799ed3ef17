"""Settings of an encoder by random search.

==========  ==========================================================================
``search``  the search: trials in parallel, kept in a file, resumed from it
``plan``    what is searched: settings, ranges, what is wrong with them
``trial``   one fit, scored on patients held out
``study``   the door to Optuna
``result``  the table of trials, and the best
==========  ==========================================================================
"""

__all__ = []
