"""``python -m radlatent`` is ``radlatent``."""

from radlatent.cli import main

__all__ = []

if __name__ == "__main__":
    main()
