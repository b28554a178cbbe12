"""Connections, and the fast lane: hot calls answered without the framework, by the same rules.

A connection (``connection``) reads its requests one after the other. If a head is that of a hot call, it
looks up what that means (``heads``: read once, with the guards of the front door, then known by its bytes;
``keyed``: by its bytes around the key) and asks the queue (``responses``). A request that is not clearly a
good one of that kind (another method, an odd header, a refusal, a body that comes in chunks) is given to the
framework (``exchange``) and answered there; so there is one place for every rule.
"""
