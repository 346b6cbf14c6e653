"""Model files of strangers, read as data: nothing in them is run."""
