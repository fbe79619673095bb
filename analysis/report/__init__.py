"""Collect figures and tables into a catalogue, a folder of figures and a report."""
