"""Signed URLs of gated lessons and videos."""
