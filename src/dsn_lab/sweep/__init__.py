"""Many cells: their plan, and rounds until each is finished or has failed for good."""
