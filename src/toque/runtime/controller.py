"""The controller owns the fleet: it turns what happens into events, and carries out the effects.

Law: it alone reads the clock, once a step; it has one timer; every step goes into the journal.
"""
