"""The report: one page, and each of its tables and figures as files."""
