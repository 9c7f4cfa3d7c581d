"""The quality report of a subject: what an editor should look at before students do.

`report.of_subject` reads the subject and calls the rules, one module for each family.
Rules take values and return values. A finding is a hint, never a reason to refuse.
"""
