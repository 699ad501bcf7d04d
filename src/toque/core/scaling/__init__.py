"""How many replicas a pool wants. One policy a file, one table line."""
