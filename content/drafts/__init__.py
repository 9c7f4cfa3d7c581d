"""Drafts of the admin's forms: input that is stored before an editor saves it.

The browser sends the form's fields every few seconds while they change
(``memora/drafts.js``). A draft is private to its editor, is shown again when the page is
opened, and is deleted when the form is saved or the draft discarded. Nothing reads it for
publishing.
"""
