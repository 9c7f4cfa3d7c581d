"""The inbox: verifies and stores what peers send, and applies the records it names."""
