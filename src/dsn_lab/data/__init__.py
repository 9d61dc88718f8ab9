"""From archives to batches: fetch, verify, clean, split."""
