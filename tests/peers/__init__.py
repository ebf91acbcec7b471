"""Programs of other projects, run as judges: each module starts one of them apart from the system's own services.

Nothing here is a mock: Postfix receives as an MX and sends as a smarthost client, OpenDKIM and mailauth verify
signatures, swaks is a client, PostgreSQL keeps the data. `parts.py` says which programs there are, `tests/setup.py`
makes sure of them, `fixtures.py` hands them to tests. Every port is on 127.0.0.1.
"""
