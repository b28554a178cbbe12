"""The ledger of many servers: SQLite in memory decides, PostgreSQL keeps what each transaction changed."""
