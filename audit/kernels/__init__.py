"""Measures as pure functions of tensors: no paths, no policy, no model."""
