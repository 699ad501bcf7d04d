"""toque in a cluster: its manifests, printed as they are or written as a Helm chart, both from one tree of each object.

Law: pure; the same settings give the same text. No secret and no time is in it.
"""
