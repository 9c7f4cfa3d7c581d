"""Read and write spreadsheets (XLSX, CSV) within limits (ADR 16)."""
