"""Kubernetes, as far as toque needs it: reaching a cluster, following what is in it, and what a model's replicas are made of.

Law: nothing here decides about replicas; it is imported only where a cluster is used, and lightkube is known here only.
"""
