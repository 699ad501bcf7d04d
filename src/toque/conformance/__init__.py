"""The conformance kit: promises that any OpenAI-compatible gateway can be held to from outside, by its URL alone.

Law: a case knows the target and nothing of toque; what it promises and what it saw can be read without its code.
"""
