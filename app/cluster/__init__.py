"""Several servers, one ledger: who owns it, and how requests come to the owner from any of them."""
