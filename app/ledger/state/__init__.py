"""The algorithms of the ledger: what each op does to runs, blocks, counters and filed answers."""
