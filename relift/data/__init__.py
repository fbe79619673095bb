"""Read questions and demonstrations from files and hub data sets."""
