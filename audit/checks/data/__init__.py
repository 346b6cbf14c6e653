"""Whether the evaluation images deserve the name."""
