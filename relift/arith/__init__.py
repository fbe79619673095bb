"""Hold the embedded world: questions, the text that a base model learns from, the tokenizer."""
