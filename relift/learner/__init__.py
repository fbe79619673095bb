"""Train a causal LM with torch: log-probabilities, packing, gradients, optimizers."""
