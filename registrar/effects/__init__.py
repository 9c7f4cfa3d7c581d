"""Handlers: what each kind of effect does at Moodle or Zoho.

All look up first what the peer has, by our own key, so a process may be killed at any
line: the repeated effect finds what was done.
"""
