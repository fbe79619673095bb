"""Score benchmarks with intervals and compare scores in pairs."""
