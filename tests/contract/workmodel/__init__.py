"""The contract of ``work.py`` as plain Python, the moves that try it, and how answers are compared."""
