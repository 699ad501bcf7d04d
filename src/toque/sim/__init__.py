"""Virtual time: the same decisions without an event loop, a clock or a replica."""
