"""Sparse networks for time series classification: train, ablate and measure them."""
