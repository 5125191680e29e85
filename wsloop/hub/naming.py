"""The characters by which a channel's name has parts; what the parts mean is `namespaces.py`."""

NAMESPACE_BOUNDARY = ":"
PRIVATE_PREFIX = "$"
USER_BOUNDARY = "#"
USER_SEPARATOR = ","
