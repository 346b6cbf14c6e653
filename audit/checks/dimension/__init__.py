"""Intrinsic dimension of the last layer, and of every layer."""
