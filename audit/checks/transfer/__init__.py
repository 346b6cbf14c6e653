"""What layers are worth when later ones are retrained, here and on another task."""
