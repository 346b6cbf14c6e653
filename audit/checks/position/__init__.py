"""How much accuracy depends on where things are in the image."""
