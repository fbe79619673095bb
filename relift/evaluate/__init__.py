"""Running benchmarks and probes with an engine into a run folder. Torch-free; an engine brings what it needs."""
