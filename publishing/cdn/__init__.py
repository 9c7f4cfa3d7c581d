"""Upload published files to the CDN, delete obsolete ones, purge and verify."""
