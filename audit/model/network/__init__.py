"""Where a network can be cut in two, and its halves."""
