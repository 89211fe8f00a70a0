"""What networks cost where they will run: parameters, multiply-adds, size, memory, latency; measured or predicted."""
