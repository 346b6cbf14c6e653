"""Units of work: named, stored, resumed, run side by side."""
