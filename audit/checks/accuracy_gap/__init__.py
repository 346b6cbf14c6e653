"""What the model gets right that no baseline does."""
