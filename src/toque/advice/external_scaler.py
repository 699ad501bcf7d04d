"""The messages of KEDA's external scaler, as protobuf classes made when this module is imported.

Law: names and numbers are those of the interface that KEDA publishes (package `externalscaler`); what stands here is all of it that is
used. Nothing is generated, so no generated file ties toque to one release of protobuf.
"""

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "externalscaler"
SERVICE = f"{PACKAGE}.ExternalScaler"
_TEXT, _BOOL, _INT64, _DOUBLE, _MESSAGE = 9, 8, 3, 1, 11
_ONE, _MANY = 1, 3
_METADATA = f".{PACKAGE}.ScaledObjectRef.ScalerMetadataEntry"

_Field = tuple[str, int, int, int, str]
_MESSAGES: Mapping[str, tuple[_Field, ...]] = {
    "ScaledObjectRef": (
        ("name", 1, _TEXT, _ONE, ""),
        ("namespace", 2, _TEXT, _ONE, ""),
        ("scalerMetadata", 3, _MESSAGE, _MANY, _METADATA),
    ),
    "IsActiveResponse": (("result", 1, _BOOL, _ONE, ""),),
    "GetMetricSpecResponse": (("metricSpecs", 1, _MESSAGE, _MANY, f".{PACKAGE}.MetricSpec"),),
    "MetricSpec": (
        ("metricName", 1, _TEXT, _ONE, ""),
        ("targetSize", 2, _INT64, _ONE, ""),
        ("targetSizeFloat", 3, _DOUBLE, _ONE, ""),
    ),
    "GetMetricsRequest": (
        ("scaledObjectRef", 1, _MESSAGE, _ONE, f".{PACKAGE}.ScaledObjectRef"),
        ("metricName", 2, _TEXT, _ONE, ""),
    ),
    "GetMetricsResponse": (("metricValues", 1, _MESSAGE, _MANY, f".{PACKAGE}.MetricValue"),),
    "MetricValue": (
        ("metricName", 1, _TEXT, _ONE, ""),
        ("metricValue", 2, _INT64, _ONE, ""),
        ("metricValueFloat", 3, _DOUBLE, _ONE, ""),
    ),
}
"""Message -> its fields: name, number, type, label, and the message it holds. KEDA reads the floats, older ones the integers."""


def _declared() -> Any:
    """Declare the messages; a map is a repeated entry of key and value, as protobuf writes it."""
    file = descriptor_pb2.FileDescriptorProto(name="externalscaler.proto", package=PACKAGE, syntax="proto3")
    for message, fields in _MESSAGES.items():
        declared = file.message_type.add(name=message)
        for name, number, kind, label, held in fields:
            declared.field.add(name=name, number=number, type=kind, label=label, type_name=held or None)
    entry = file.message_type[0].nested_type.add(name="ScalerMetadataEntry")
    entry.options.map_entry = True
    for number, name in ((1, "key"), (2, "value")):
        entry.field.add(name=name, number=number, type=_TEXT, label=_ONE)
    return file


_pool = descriptor_pool.DescriptorPool()
_pool.Add(_declared())


def _made(message: str) -> Any:
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{PACKAGE}.{message}"))


ScaledObjectRef = _made("ScaledObjectRef")
IsActiveResponse = _made("IsActiveResponse")
GetMetricSpecResponse = _made("GetMetricSpecResponse")
MetricSpec = _made("MetricSpec")
GetMetricsRequest = _made("GetMetricsRequest")
GetMetricsResponse = _made("GetMetricsResponse")
MetricValue = _made("MetricValue")
