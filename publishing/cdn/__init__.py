"""From the disk to the CDN: upload, delete, purge, verify."""
