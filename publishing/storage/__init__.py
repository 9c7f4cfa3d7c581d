"""The content root on the local disk, and the lock under which it changes."""
