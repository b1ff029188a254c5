"""A small service: recordings in over HTTP or a Unix socket, emotions out, one model loaded once.

Needs the extra ``service`` (uvicorn and Starlette); importing the package itself
loads neither. :func:`~ser_edge_runtime.service.server.serve` runs it.
"""
