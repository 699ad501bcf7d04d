"""Which ready replica takes a ticket. One policy a file, one table line."""
