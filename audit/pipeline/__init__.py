"""One call, from its inputs to the run folder."""
