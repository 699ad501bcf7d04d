"""What clients talk to: the door, the relay and the cold routes."""
