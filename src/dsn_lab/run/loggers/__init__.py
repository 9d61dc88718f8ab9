"""Loggers beside metrics.csv, one module each."""
