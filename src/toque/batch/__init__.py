"""Batch: durable jobs on spare capacity.

Law: what was acknowledged is on disk; an item runs at least once and appears in exactly one output line.
"""
