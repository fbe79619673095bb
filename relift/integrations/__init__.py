"""Recorders that work inside other projects' training: what they train on becomes a run folder of ours."""
