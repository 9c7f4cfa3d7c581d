"""Applies records of Zoho to the mirror."""
