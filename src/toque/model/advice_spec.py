"""What is told to those who scale in toque's place, and where they may ask.

Law: nothing here changes what is decided, nor who carries it out: `replicas.target` of a model says that.
"""

from dataclasses import dataclass

from toque.model.setting import Setting, setting


@dataclass(frozen=True, slots=True)
class AdviceSpec:
    """The decision, exported: as a Kubernetes external metric for an HPA, and to KEDA."""

    metrics_api: str = setting(
        "off",
        Setting(
            "Address and port of the external metrics API (external.metrics.k8s.io), for the Kubernetes API server alone: "
            "TLS, and its front proxy's certificate. A cluster has one such API; KEDA brings its own. `off` for none."
        ),
    )
    keda: str = setting(
        "off",
        Setting(
            "Address and port of the external scaler for KEDA (gRPC; TLS where there is a certificate). It tells how many "
            "replicas are wanted and nothing else. `off` for none."
        ),
    )
    certificate: str = setting("", Setting("PEM file of the certificate shown to who asks.", "path"))
    certificate_key: str = setting("", Setting("PEM file of its key.", "path"))
    client_ca: str = setting(
        "",
        Setting(
            "PEM file of the authority that signs the front proxy's certificate: requestheader-client-ca-file in ConfigMap "
            "extension-apiserver-authentication of kube-system.",
            "path",
        ),
    )
    client_names: tuple[str, ...] = setting(
        ("front-proxy-client",),
        Setting(
            "Names that the front proxy's certificate may bear, as requestheader-allowed-names there; the default is kubeadm's. "
            "Empty: any that the authority signed."
        ),
    )
    streams_max: int = setting(
        256,
        Setting(
            "Activations that KEDA may follow at once; each ScaledObject of type external-push keeps one.", minimum=1
        ),
    )
