"""Whether an answer comes from the model that was asked (R16).

Law: only what stands in front of an answer is looked at, once; an answer that does not say who it is from passes.
"""

import re

HEAD_BYTES = 1024
"""Where the model's name stands in every answer: in front of the text, or of the first piece of it."""

_MODEL = re.compile(rb'"model"\s*:\s*"((?:[^"\\]|\\.)*)"')


def is_from_another(answer: bytes, model: bytes) -> bool:
    """Whether an answer names another model than this one."""
    told = _MODEL.search(answer, 0, HEAD_BYTES)
    return told is not None and told[1].replace(rb"\/", b"/") != model
