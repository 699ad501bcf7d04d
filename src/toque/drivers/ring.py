"""The last output of a child process, kept in bounded memory.

Law: it takes any amount and holds BYTES_MAX at most; what leaves it is safe to print: no control characters, no secret.
"""

from toque.model.agent_spec import Secret

BYTES_MAX = 256 * 1024
LINE_CHARACTERS_MAX = 2048


class OutputRing:
    """The tail of what a child wrote to its standard output and error."""

    __slots__ = ("_kept", "_secret")

    def __init__(self, secret: Secret) -> None:
        self._secret = secret
        self._kept = bytearray()

    def feed(self, data: bytes) -> None:
        """Keep `data`; when full, forget all but the newest half, so that a byte costs the same however they come."""
        self._kept += data[-BYTES_MAX // 2 :]
        if len(self._kept) > BYTES_MAX:
            del self._kept[: -BYTES_MAX // 2]

    def last_lines(self, count: int) -> tuple[str, ...]:
        """Return up to `count` lines that are not blank, oldest first."""
        text = self._kept.decode("utf-8", "replace").replace(self._secret.reveal(), "***")
        lines = ("".join(filter(str.isprintable, line[:LINE_CHARACTERS_MAX])).strip() for line in text.splitlines())
        return tuple([line for line in lines if line][-count:])
