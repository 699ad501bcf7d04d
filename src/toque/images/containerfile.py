"""The recipe: a Containerfile that only adds files, so that nothing of the image runs while it is built.

Law: what changes seldom comes first; whoever runs the image is nobody (65532), and the root may be read-only.
"""

import json
from collections.abc import Mapping

from toque import __version__
from toque.images.order import PORT, SETTINGS_PATH, ImageOrder, Weights
from toque.ports import MODELS_DIR

USER = "65532:65532"
HOME = "/usr/lib/toque"
CODE, PACKAGES, AGENT = f"{HOME}/code", f"{HOME}/packages", "/srv/agent"
ENVIRONMENT = {
    "HOME": "/tmp",  # noqa: S108 - a volume of whoever runs it, where something is kept at all
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPATH": f"{CODE}:{PACKAGES}",
    "PYTHONUNBUFFERED": "1",
    "TOQUE_CONFIG": SETTINGS_PATH,
}


def containerfile(order: ImageOrder, contents: str) -> str:
    """Write the recipe over the build context that `context.lay_out` makes. `contents` is the digest of the list of parts."""
    base = order.base
    lines = ["FROM scratch", "ADD base.tar /"] if base.suite else [f"FROM {base.reference}"]
    lines.append(f"COPY packages {PACKAGES}")
    if order.model is not None and order.weights is Weights.BAKED and order.source is not None:
        lines.append(f"COPY models {MODELS_DIR}")
    lines += [f"COPY code {CODE}", f"COPY agent {AGENT}", "COPY settings /etc/toque", f"COPY contents {HOME}/contents"]
    lines.append("ENV " + " ".join(f"{name}={json.dumps(value)}" for name, value in ENVIRONMENT.items()))
    lines.append("LABEL " + " ".join(f"{name}={json.dumps(value)}" for name, value in _labels(order, contents).items()))
    lines += [f"USER {USER}", f"WORKDIR {AGENT}", f"EXPOSE {PORT}"]
    lines.append(f"ENTRYPOINT {json.dumps([f'python{base.python}', '-P', '-m', 'toque'])}")
    lines.append(f"CMD {json.dumps(_command(order))}")
    return "\n".join(lines) + "\n"


def _command(order: ImageOrder) -> list[str]:
    if order.model is None:
        return ["up"]
    words = ["replica", order.model.pool.name, "--listen", f"0.0.0.0:{PORT}"]
    if order.weights is Weights.FETCHED:
        words += ["--weights-url", order.weights_url, "--weights-sha256", order.weights_sha256]
    return words


def _labels(order: ImageOrder, contents: str) -> Mapping[str, str]:
    labels = {
        "org.opencontainers.image.title": order.title,
        "org.opencontainers.image.version": __version__,
        "org.opencontainers.image.base.name": order.base.reference or f"debian:{order.base.suite}",
        "dev.toque.contents.sha256": contents,
    }
    if order.model is not None:
        labels |= {
            "dev.toque.model": order.model.pool.name,
            "dev.toque.agent": order.model.agent.agent,
            "dev.toque.weights": order.weights.value,
        }
    return labels
