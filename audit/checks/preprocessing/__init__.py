"""Whether the model is given the images that it was trained on."""
