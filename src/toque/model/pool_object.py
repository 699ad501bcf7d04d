"""How a model and its pool are called as an object of Kubernetes.

Law: said here once; the definition, the operator and the rights that it needs go by it.
"""

GROUP = "toque.dev"
VERSION = "v1alpha1"
KIND = "ModelPool"
PLURAL = "modelpools"
