"""``python -m radlatent`` is ``radlatent``."""

from radlatent.cli import app

__all__ = []

if __name__ == "__main__":
    app(prog_name="radlatent")
