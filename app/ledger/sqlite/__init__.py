"""The embedded engine: SQLite's files, its statements, and nothing else of dibs knows of either."""
