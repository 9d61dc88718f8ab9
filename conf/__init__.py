"""The Hydra configuration, packaged."""
