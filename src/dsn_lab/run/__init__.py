"""One cell: its settings checked, a network trained, tested once and recorded."""
