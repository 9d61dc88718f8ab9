"""What a cell is and what it leaves: its identity, its folder, its record, its networks."""
