"""What a change of settings means to one pool.

Law: only what a replica was started with needs new replicas; bounds, limits and policies hold for those there are.
"""

from dataclasses import replace

from toque.model.spec import PoolSpec


def needs_new_replicas(before: PoolSpec, after: PoolSpec) -> bool:
    """Whether replicas of the one spec cannot serve under the other. What the core does not see, whoever reloads tells."""
    return before.slots != after.slots or before.elastic != after.elastic


def without_future(spec: PoolSpec) -> PoolSpec:
    """Return a spec under which nothing is started, scaled or tried once more, for a pool that is leaving."""
    return replace(
        spec,
        elastic=False,
        replicas=replace(spec.replicas, minimum_warm=0, target=0),
        retry=replace(spec.retry, attempts_max=0),
    )
