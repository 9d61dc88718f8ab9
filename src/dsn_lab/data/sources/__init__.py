"""Where datasets come from; each finds, fetches and reads."""
