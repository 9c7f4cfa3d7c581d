"""What needs a signature to be read: gated lessons and videos."""
