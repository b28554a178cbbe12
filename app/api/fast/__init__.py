"""The fast lane: hot calls answered without the framework, by the same rules.

A connection (``connection``) that finds the head of a hot call looks up what it means (``heads``: read once,
with httptools and the guards of the front door, then known by its bytes) and hands it to ``calls``. Whatever
is not clearly a good request (another method, an odd header, a refusal, a body that comes in chunks) goes the
ordinary way, untouched, and is answered there; so there is one place for every rule.
"""
