"""What every room may use: errors, sizes, progress, workers; torch is never loaded at import."""
