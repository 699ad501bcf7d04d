"""Replicas as Pods of a Kubernetes cluster. Imported only where that driver is used, for it brings a client of Kubernetes along."""

from toque.drivers.kubernetes.driver import KubernetesDriver

__all__ = ["KubernetesDriver"]
