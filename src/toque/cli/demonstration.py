"""`toque simulate bursts`: the classic demonstration of a rate autoscaler, told line by line.

50 requests 10 to 50 ms apart and then five 500 ms apart meet a pool of one to four replicas with a cold start of 100 ms
and 50 ms a request; each 5 s the autoscaler compares the rate with a target of 10 requests/s per replica.
"""

from toque.cli.exits import Exit
from toque.cli.terminal import Terminal
from toque.sim.demonstration import INTERVAL_S, Told, demonstration


def demonstrate(terminal: Terminal) -> int:
    """Run it and tell it."""
    story = demonstration()
    terminal.show("55 requests in two bursts; 1 to 4 replicas, cold start 0.1 s, 0.05 s a request; ")
    terminal.show(f"each {INTERVAL_S:g} s the rate is compared with a target of 10 requests/s per replica")
    terminal.show()
    for line in story.lines:
        terminal.show(f"{line.at:7.2f} s  {_painted(line, terminal)}")
    wait = story.measures.queue_wait
    terminal.show()
    terminal.show(
        f"{story.measures.requests} requests served, none refused; queue wait {wait.mean_s:.2f} s on average, "
        f"{wait.quantile(0.99):.2f} s at the 99th percentile"
    )
    terminal.show(
        "The burst was over before the autoscaler looked: what an interval cannot see, a warm replica must take."
    )
    return Exit.DONE


def _painted(line: Told, terminal: Terminal) -> str:
    style = {"scaling up": "green", "scaling down": "yellow"}.get(line.verdict)
    return terminal.paint(line.text, style, terminal.out) if style else line.text
