"""The ground floor: databases, the writer, migrations, secrets, and the bytes of messages. Only this room knows a driver."""
