"""The command line: one verb is one function of the package, with its parameters.

- `verbs`, `layouts`, `dicom`, `final`, `masks`, `segment`: the verbs
- `options`, `outcome`: what several of them are given, and leave behind
- `main`: starts them, or says what keeps them from starting
"""

import importlib
import sys

from radlatent.provenance import examine, is_sound

__all__ = ["main"]

#: What an import raises of a library that is broken.
_BROKEN = (ImportError, AttributeError, OSError, RuntimeError, SyntaxError, TypeError)


def __getattr__(name):
    # what draws the command line may be what is broken
    if name == "app":
        return importlib.import_module("radlatent.cli.verbs").app
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def main() -> None:
    """Run the verb that the arguments name.

    ``doctor`` needs no library, and tells in plain lines which of them keeps the
    others from starting.
    """
    try:
        app = importlib.import_module("radlatent.cli.verbs").app
    except _BROKEN as error:
        sys.exit(_without(error))
    try:
        app(prog_name="radlatent")
    except ImportError as error:  # those of verbs were told by them
        sys.exit(_without(error))


def _without(error):
    """Return what ends a process in which no verb can start: a message, or a code."""
    if sys.argv[1:2] != ["doctor"]:
        why = f"{type(error).__name__}: {error}"
        return f"error: no verb can start ({why}); radlatent doctor says what to mend"
    rows = examine()
    for row in rows:
        print("  ".join(filter(None, row.values())))
    return 0 if is_sound(rows) else 1
