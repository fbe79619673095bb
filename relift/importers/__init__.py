"""Bring in what others made: data sets, runs and evaluations, as ours."""
