"""Text in, numbers out: words, windows and tokens. Pure functions: no I/O, no threads, no metrics, no model."""
