"""Admin pages of publishing."""
