"""Describe the training itself: updates, demonstrations, attempts, alerts, throughput."""
