"""Whether another order of the outputs fits the labels better."""
