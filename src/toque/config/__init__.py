"""Settings: `toque.toml`, the environment and flags become one frozen `ServiceSpec`.

Law: the only floor that reads settings files and the environment, and that knows pydantic. Every setting is declared
once, in model/, and its check, its place in the reference and its JSON Schema are made from that declaration.
"""

from toque.config.address import is_loopback, split_address
from toque.config.read import find_config, read_config
from toque.config.secret import read_secret

__all__ = ["find_config", "is_loopback", "read_config", "read_secret", "split_address"]
