"""What several checks share: what is measured, the baselines, outputs and features."""
