"""Settings: `toque.toml`, the environment and flags become one frozen `ServiceSpec` (read.py).

Law: the only floor that reads settings files and the environment, and that knows pydantic. Every setting is declared
once, in model/; its check, its place in the reference and its JSON Schema are made from that declaration.
"""
