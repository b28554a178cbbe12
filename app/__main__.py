"""``python -m dibs``: the same as ``dibs``."""

from .cli import main

if __name__ == "__main__":
    main()
