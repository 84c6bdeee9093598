"""Nearest vectors by Milvus Lite, for ops/bench/search_scale.py; runs in stores.txt's environment."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from pymilvus import DataType, MilvusClient

K = 10


def main() -> None:
    """Load, then answer one JSON object a line: {"effort", "clients"} with ids and queries/s."""
    folder = Path(sys.argv[1])
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    queries = np.load(folder / "queries.npy")
    begun = time.monotonic()
    milvus = MilvusClient(str(folder / "milvus.db"))
    schema = MilvusClient.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
    index = milvus.prepare_index_params()
    parameters = {"M": 16, "efConstruction": 100}
    index.add_index("v", index_type="HNSW", metric_type="IP", params=parameters)
    milvus.create_collection("passages", schema=schema, index_params=index)
    for start in range(0, len(vectors), 5000):
        part = vectors[start : start + 5000]
        milvus.insert("passages", [{"id": start + at, "v": row} for at, row in enumerate(part)])
    milvus.flush("passages")
    milvus.load_collection("passages")
    milvus.search("passages", [queries[0]], limit=K)
    print(json.dumps({"ready": time.monotonic() - begun, "rows": len(vectors)}), flush=True)
    for line in sys.stdin:
        print(json.dumps(_measured(milvus, queries, **json.loads(line))), flush=True)


def _measured(milvus: MilvusClient, queries: "np.ndarray", effort: int, clients: int) -> dict[str, object]:
    def client(number: int) -> list[list[int]]:
        parameters = {"params": {"ef": effort}}
        return [
            [hit["id"] for hit in milvus.search("passages", [query], limit=K, search_params=parameters)[0]]
            for query in queries[number::clients]
        ]

    client(0)
    begun = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        parts = list(pool.map(client, range(clients)))
    seconds = time.monotonic() - begun
    found: list[list[int]] = [[]] * len(queries)
    for number, part in enumerate(parts):
        found[number::clients] = part
    return {"per_second": len(queries) / seconds, "found": found}


main()
