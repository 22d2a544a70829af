"""The HTTP side of one WHIP or WHEP session: a single POST with every candidate in it, then a DELETE.

Never trickles: aiortc gathers before it hands out its offer.
"""

from collections.abc import Mapping
from urllib.parse import urljoin

import aiohttp
from aiortc import (
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpCodecCapability,
    RTCRtpSender,
    RTCSessionDescription,
)

#: What every WebRTC client must take: constrained baseline, level 3.1, packetization mode 1.
PROFILE = "42e01f"
#: Seconds for one HTTP request; generous, since a busy machine is not a failure.
TIMEOUT = aiohttp.ClientTimeout(total=20)


class Refused(Exception):
    """The server did not answer 201 to the POST."""

    def __init__(self, status: int, headers: Mapping[str, str], body: str) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body


def peer() -> RTCPeerConnection:
    """A peer connection that asks no STUN server."""
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


def h264_only() -> list[RTCRtpCodecCapability]:
    """Codec preferences: H264 constrained baseline and its retransmissions."""
    return [
        codec
        for codec in RTCRtpSender.getCapabilities("video").codecs
        if codec.name == "rtx" or codec.parameters.get("profile-level-id") == PROFILE
    ]


def without_candidates(offer: str) -> str:
    """The offer of a client that names no address of its own."""
    lines = offer.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(("a=candidate:", "a=end-of-candidates")))


class Session:
    """A session resource; made by `open`, ended by `close`."""

    def __init__(self, http: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> None:
        self.url = url
        self._http = http
        self._headers = headers

    @classmethod
    async def open(
        cls,
        http: aiohttp.ClientSession,
        url: str,
        token: str | None,
        pc: RTCPeerConnection,
        *,
        hide: bool = False,
    ) -> "Session":
        """Posts the offer of `pc` and gives it the answer; raises `Refused` unless the status is 201.

        With `hide` the offer names no candidate, so the server never sends first.
        """
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        await pc.setLocalDescription(await pc.createOffer())
        async with http.post(
            url,
            data=without_candidates(pc.localDescription.sdp) if hide else pc.localDescription.sdp,
            headers={**headers, "Content-Type": "application/sdp"},
            timeout=TIMEOUT,
        ) as response:
            body = await response.text()
            if response.status != 201:
                raise Refused(response.status, response.headers, body)
            session = cls(http, urljoin(str(response.url), response.headers["Location"]), headers)
        await pc.setRemoteDescription(RTCSessionDescription(sdp=body, type="answer"))
        return session

    async def close(self) -> tuple[int, int]:
        """Deletes the session twice and returns both statuses; RFC 9725 makes them 200 and 404."""
        return await self._delete(), await self._delete()

    async def _delete(self) -> int:
        async with self._http.delete(self.url, headers=self._headers, timeout=TIMEOUT) as response:
            return response.status
