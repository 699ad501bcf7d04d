"""Send a burst of requests at once to a running toque, and tell what became of them.

Usage: python examples/burst.py [COUNT] [URL]
"""

import json
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError
from urllib.request import Request, urlopen

BODY = {"model": "chat", "messages": [{"role": "user", "content": "Count to ten."}], "max_tokens": 20}


def ask(url: str) -> tuple[int, float]:
    """Send one request; returns its status and the seconds it took."""
    began = time.perf_counter()
    request = Request(f"{url}/v1/chat/completions", json.dumps(BODY).encode(), {"content-type": "application/json"})
    try:
        with urlopen(request, timeout=120) as reply:
            reply.read()
            status = reply.status
    except HTTPError as error:
        status = error.code
    return status, time.perf_counter() - began


def main() -> None:
    """Send them all, and print a line a status."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    url = sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:8080"
    with ThreadPoolExecutor(count) as senders:
        outcomes = list(senders.map(ask, [url] * count))
    times = sorted(seconds for _, seconds in outcomes)
    for status, number in sorted(Counter(status for status, _ in outcomes).items()):
        print(f"{number} x {status}")
    print(f"half within {times[len(times) // 2]:.2f} s, all within {times[-1]:.2f} s")


if __name__ == "__main__":
    main()
