"""What a finished run shows: figures and receptive fields."""
