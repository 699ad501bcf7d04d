"""The mind: takes an event and the time, returns what should happen. Never waits, never reads a clock."""
