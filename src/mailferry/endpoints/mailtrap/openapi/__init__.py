"""What this API looks like, told to programs (`/api/openapi.json`, OpenAPI 3.1) and to people (`/api/docs`).

Paths, rights and rates come out of table.py; one file an area declares what is asked and answered, once for both families.
"""
