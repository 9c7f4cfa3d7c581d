"""The content format: what documents contain, their paths and their validation.

Plain rules, except `publishing.format.validation`. docs/content-format.md describes the
format for app developers.
"""
