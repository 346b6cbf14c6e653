"""The audited model: safe loading, and where its layers may be cut."""
