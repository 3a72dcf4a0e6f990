"""The converter's version."""

__all__ = ["CONVERTER_VERSION"]

# Goes into what is written; raise it where the same source comes out different.
CONVERTER_VERSION = "1"
