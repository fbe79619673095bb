"""Follow questions over training: bands, transitions, reach, classes, differences from the base."""
