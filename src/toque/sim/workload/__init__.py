"""What arrives in a simulation: recorded traces, synthetic traffic, and mixtures of both. All of it streams."""
