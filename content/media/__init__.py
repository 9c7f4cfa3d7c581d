"""Pictures, audio and videos of lessons: files, where they are used, the library.

`references` finds the addresses of media in texts; `files` stores, checks and deletes
files; `library` keeps `MediaFile` rows, finds uses and replaces files; `faults` names
media that students cannot open; `webvtt` parses captions.
"""
