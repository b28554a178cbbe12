"""The proof: the load that makes a history, and the checker that judges it.

The proof reaches the server over HTTP only and imports none of its code, so that it can't share its mistakes.
One way through it: `load` runs `clients` against a server and writes a `history` of `records`; `fold` makes
effects of its requests; each row of `rules` looks for one kind of mistake; `verdict` counts what they find.
"""
