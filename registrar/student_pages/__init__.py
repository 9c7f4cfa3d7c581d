"""The students' own pages: what the mirror has about them, their requests, their card."""
