"""The benchmarks, a file for each family; relift.benchmarks.table lists them."""
