"""Run the embedded experiment: base model, methods, jobs and the story they tell."""
