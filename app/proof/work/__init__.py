"""The proof for work: producers and consumers, their history, and the checker that judges it."""
