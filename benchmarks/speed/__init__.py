"""Measure speed: of the sampler, an RL step, grading, analysis, the dashboard, an evaluation; beside other projects."""
