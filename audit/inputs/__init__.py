"""From settings to model, data, baselines and device: all that a call names, loaded and checked."""
