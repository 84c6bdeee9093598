"""The bus of KARAIS: subjects, codec, connection, agent runtime, streams, identities, server."""
