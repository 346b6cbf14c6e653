"""Intervals, paired errors, the gain, adequacy, effects over seeds: numbers in, numbers out."""
