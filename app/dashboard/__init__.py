"""The room for the live page. Empty so far."""
