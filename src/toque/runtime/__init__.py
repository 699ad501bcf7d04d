"""The hands: one controller owns the fleet, one actuator carries out what it wishes."""
