"""The composition root: the only place that names concrete classes and joins them."""

from toque.app.fleet import OpenFleet, open_fleet
from toque.app.service import serve

__all__ = ["OpenFleet", "open_fleet", "serve"]
