"""``python -m app``: the same as ``dibs``."""

from app.cli import main

if __name__ == "__main__":
    main()
