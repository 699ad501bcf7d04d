"""The operator: learns pools from ModelPool objects, tells in their status what became of them, and stands for election.

Law: it decides nothing about replicas; kopf is known here only, and only what runs `toque controller` imports it.
"""
