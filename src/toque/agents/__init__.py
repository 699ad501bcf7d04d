"""What speaks to a model. One file a kind, one table line."""
