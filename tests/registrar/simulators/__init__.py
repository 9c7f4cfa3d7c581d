"""Simulators of Zoho CRM and Moodle: small HTTP servers on this machine.

They import neither Django nor pytest, so a demo can start them, too.
"""
