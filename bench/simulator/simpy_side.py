"""The other side: the same queue of a fixed size as anybody would write it in SimPy.

python bench/simulator/simpy_side.py SLOTS SERVICE_S   prints `seconds mean_wait_s` for the arrival times on standard input, one a line.
"""

import sys
from collections.abc import Generator, Sequence
from time import process_time

import simpy


def run(times: Sequence[float], capacity: int, service_s: float) -> tuple[float, float]:
    """Return CPU seconds and the mean queue wait (s): first come first served before so many slots."""
    environment = simpy.Environment()
    slots = simpy.Resource(environment, capacity)
    waits: list[float] = []

    def request() -> Generator[simpy.Event, object, None]:
        arrived_at = environment.now
        with slots.request() as turn:
            yield turn
            waits.append(environment.now - arrived_at)
            yield environment.timeout(service_s)

    def source() -> Generator[simpy.Event, object, None]:
        for at in times:
            yield environment.timeout(at - environment.now)
            environment.process(request())

    began = process_time()
    environment.process(source())
    environment.run()
    return process_time() - began, sum(waits) / len(waits)


if __name__ == "__main__":
    print(*run([float(line) for line in sys.stdin], int(sys.argv[1]), float(sys.argv[2])))
