"""Where replicas run. One file a driver, one table line."""
