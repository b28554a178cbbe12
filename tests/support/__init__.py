"""What tests of several folders, and the benchmarks, need: a PostgreSQL of their own."""
