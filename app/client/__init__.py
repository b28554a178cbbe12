"""The room for the client that is an iterator: HTTP only, importable without the server. Empty so far."""
