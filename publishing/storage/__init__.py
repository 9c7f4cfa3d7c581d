"""The content root on this machine's disk, and the one lock under which it changes."""
