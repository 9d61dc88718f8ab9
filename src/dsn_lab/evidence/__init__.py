"""The evidence: full-protocol runs that were made, kept in a ledger, and tables made of it."""
