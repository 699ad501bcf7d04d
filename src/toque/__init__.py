"""toque: an inference control plane and gateway. `open()` gives the fleet in process, without HTTP."""

__version__ = "0.1.0"
