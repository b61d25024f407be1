"""The one-tap link of a page: signed, personal, expiring; it dies with its cycle and its user."""

from __future__ import annotations

from dataclasses import dataclass

from itsdangerous import BadData, URLSafeSerializer

from tocsin.model import DAY, Incident, Instant
from tocsin.work.runtime import Runtime
from tocsin.work.signing_keys import Keys

LIVES = DAY
SALT = "tocsin.link.v1"


@dataclass(frozen=True, slots=True)
class AckLink:
    """Content of a link whose signature is right."""

    incident: int
    cycle: int
    user: str
    page: str
    expires_at: Instant


class AckLinks:
    """Makes and reads the tokens of `/a/{token}`."""

    def __init__(self, runtime: Runtime, keys: Keys) -> None:
        self.runtime, self.keys = runtime, keys

    def url(self, incident: Incident, user: str, page: str) -> str:
        """The link for this person; "" where no public_url is configured or nobody is named."""
        base = self.runtime.settings.server.public_url
        if not base or not user:
            return ""
        expires = Instant(self.runtime.clock.now() + LIVES)
        return f"{base}/a/{self.sign(AckLink(incident.number, incident.cycle, user, page, expires))}"

    def sign(self, link: AckLink) -> str:
        facts = [link.incident, link.cycle, link.user, link.page[:8], link.expires_at // 1000]
        text = URLSafeSerializer(self.keys.newest, salt=SALT).dumps(facts)
        return text if isinstance(text, str) else text.decode()

    def read(self, token: str) -> AckLink | None:
        """The link; None when the signature is wrong, it has expired, or its user is gone."""
        if len(token) > 512:
            return None
        for key in self.keys.valid:
            try:
                incident, cycle, user, page, expires = URLSafeSerializer(key, salt=SALT).loads(token)
            except (BadData, ValueError, TypeError):
                continue
            link = AckLink(int(incident), int(cycle), str(user), str(page), Instant(int(expires) * 1000))
            alive = link.expires_at > self.runtime.clock.now() and link.user in self.runtime.settings.users
            return link if alive else None
        return None
