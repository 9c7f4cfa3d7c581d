"""The content format: what documents say, where they lie, what makes them valid.

Plain rules but for `validation`; docs/content-format.md says the same for app
developers.
"""
