"""Run methods x seeds x bases under equal budgets as one resumable command, and tell what came out."""
