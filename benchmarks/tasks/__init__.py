"""Hold the benchmarks, a file for each family with its layout; relift.benchmarks.table lists the files."""
