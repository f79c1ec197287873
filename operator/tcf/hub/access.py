"""The rights of this process on the hub."""

from __future__ import annotations

from tcf.hub.client import HubClient
from tcf.hub.records import exactly, reading


class Access:
    """Asks the hub about the rights of its own credentials. Raises `HubError`."""

    def __init__(self, client: HubClient) -> None:
        self._client = client

    async def may(
        self,
        verb: str,
        group: str,
        plural: str,
        namespace: str | None,
        *,
        subresource: str = "",
        name: str = "",
        deadline: float,
    ) -> bool:
        """May this process do that with objects of this kind (namespace None: in all namespaces)?

        Args:
            name: of one object; "" for all of them.
        """
        asked = {"verb": verb, "group": group, "resource": plural, "namespace": namespace or ""}
        asked |= {"subresource": subresource, "name": name}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        answer = await self._client.request("POST", path, body=body, deadline=deadline)
        with reading("the review of what this process may do"):
            return answer["status"].get("allowed") is True

    async def user(self, *, deadline: float) -> str:
        """The name of the user to whom the credentials belong. The hub calls its users by these names."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        answer = await self._client.request("POST", path, body=body, deadline=deadline)
        with reading("the review of who this process is"):
            return exactly(answer["status"]["userInfo"]["username"], str)
