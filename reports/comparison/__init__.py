"""The document of a comparison and its writers."""
