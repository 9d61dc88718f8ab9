"""Sparse topology: regions, schedule, drop and grow, and the callback that applies them."""
