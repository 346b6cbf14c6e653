"""accuracy_gap."""
