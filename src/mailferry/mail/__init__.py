"""Pure mail formats: bytes and text in, bytes and text out, no I/O."""
