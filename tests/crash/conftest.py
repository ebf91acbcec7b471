"""Here databases sync what they commit, as they do for users."""

import pytest

from tests.peers.postgres import Cluster


@pytest.fixture(scope="session")
def postgres_cluster(synced_postgres_cluster: Cluster) -> Cluster:
    return synced_postgres_cluster
