"""Create a ClusterFederation as soon as the cluster knows the kind. If it exists already, leave it alone."""

import asyncio
import sys

import yaml

from tcf.hub import errors, federations
from tcf.hub.client import HubClient, folder
from tcf.hub.credentials import Credentials, in_cluster

REQUEST_SECONDS = 10.0
RETRY_SECONDS = 0.5
PATIENCE_SECONDS = 60.0


async def create(namespace: str, manifest: str) -> str:
    path = folder(federations.GROUP, federations.VERSION, federations.PLURAL, namespace)
    client = HubClient(Credentials(in_cluster()), user_agent="tcf-example")
    try:
        while True:
            try:
                await client.request("POST", path, body=yaml.safe_load(manifest), deadline=REQUEST_SECONDS)
            except errors.ConflictError:
                return "the federation exists already, and stays as it is"
            except errors.KindNotFoundError:
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return "the federation was created"
    finally:
        await client.close()


async def main(namespace: str, manifest: str) -> str:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await create(namespace, manifest)


try:
    print(asyncio.run(main(*sys.argv[1:])))
except TimeoutError:
    sys.exit("the cluster does not know the kind ClusterFederation: set crds.install=true, or apply crds/")
except errors.HubError as error:
    sys.exit(f"cannot create the federation: {error}")
