"""The classic demonstration tells up, down and stable, each with its rate and target."""

from toque.sim.demonstration import demonstration


def test_the_autoscaler_goes_up_after_the_burst_down_in_the_calm_and_is_stable_then() -> None:
    story = demonstration()
    spoken = [(line.at, line.verdict) for line in story.lines if line.verdict]
    assert spoken == [(5.0, "scaling up"), (10.0, "scaling down"), (15.0, "stable")]
    assert "rate 11.0/s" in next(line.text for line in story.lines if line.verdict)
    assert story.measures.requests == 55
    assert story.measures.refused == 0


def test_it_is_the_same_each_time() -> None:
    assert demonstration().lines == demonstration().lines
