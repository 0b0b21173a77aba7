"""Instructions that each operation takes, counted by valgrind; see docs/benchmarks.md."""
