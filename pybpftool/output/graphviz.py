"""Pictures, drawn by Graphviz's ``dot``: the one place that runs it."""

from __future__ import annotations

from ..errors import PybpftoolError


def draw(graph: str) -> str:
    """The graph, written in DOT, as an SVG document.

    PybpftoolError where dot is not installed, or gives up.
    """
    import subprocess

    try:
        done = subprocess.run(
            ["dot", "-Tsvg"],
            input=graph.encode("utf-8", "surrogateescape"),
            capture_output=True,
        )
    except FileNotFoundError as error:
        raise PybpftoolError(
            "can't draw the graph: there is no dot", hint="the package graphviz brings it along"
        ) from error
    if done.returncode:
        reason = done.stderr.decode("utf-8", "replace").partition("\n")[0]
        raise PybpftoolError(
            f"can't draw the graph: {reason or f'dot ended with {done.returncode}'}"
        )
    return done.stdout.decode("utf-8", "surrogateescape")
