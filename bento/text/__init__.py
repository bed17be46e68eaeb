"""Text in, numbers out: words, windows and tokens. Pure: nothing here waits, counts or knows a model."""
