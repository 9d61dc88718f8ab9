"""Hydra looks for plugins here: a sweeper that resumes, and a SLURM launcher."""
