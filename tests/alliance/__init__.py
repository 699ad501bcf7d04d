"""Tests of the alliance of gateways and their controller."""
