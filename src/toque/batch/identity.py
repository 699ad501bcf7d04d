"""Names of files and batches: long enough that nobody guesses another tenant's, and of one form.

Law: a name from outside is compared with the form before it is looked up, and is never part of a path.
"""

import re
import secrets

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_FORM = re.compile(r"(file|batch)-[0-9a-z]{24}")


def new_id(kind: str) -> str:
    """Return a fresh name, such as `file-` and 24 letters and digits (124 bits)."""
    return f"{kind}-{''.join(secrets.choice(_ALPHABET) for _ in range(24))}"


def is_id(text: str, kind: str) -> bool:
    """Whether this can be the name of such a thing."""
    found = _FORM.fullmatch(text)
    return found is not None and found[1] == kind
