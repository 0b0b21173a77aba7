"""Real servers on loopback, for tests, benchmarks and soaks; stopped by their process ids."""
