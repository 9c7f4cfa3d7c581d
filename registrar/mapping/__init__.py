"""How records of Zoho become rows of the mirror: names, converters, tables."""
