"""Bytes on the network: HTTP/1.1 on both sides, server-sent events, and a bridge for cold ASGI routes."""
