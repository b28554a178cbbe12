"""The items inside a queue, in SQLite: runs, blocks, failures and keys (the contract is in ``work.py``)."""
