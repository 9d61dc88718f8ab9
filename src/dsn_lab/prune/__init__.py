"""Dynamic structured pruning (DSP): penalise activations, find idle filters, remove them."""
