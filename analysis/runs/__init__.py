"""Read runs as tidy frames, counts and panels, and say what was not recorded."""
