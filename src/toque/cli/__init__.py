"""The command line: one file a verb, imported only when its verb is given.

Law: what was asked for goes to standard output, everything said about it to standard error.
"""

from toque.cli.entry import main

__all__ = ["main"]
