"""Studies that ship with relift, by name."""
