"""Verifying a token against the configured entry of its issuer.

The rule here: the entry decides about issuer, audience and algorithm. The token may only say which
of the issuer's keys signed it; `jku`, `x5u` and `jwk` are ignored.
"""

import base64
import binascii
from typing import Any, Protocol

import jwt
import msgspec

from gateway.auth.claims import ClaimError, check_times, principal_of
from gateway.auth.key_set import Key
from gateway.auth.method import Refusal
from gateway.auth.verified_tokens import VerifiedTokens, digest_of
from gateway.config.token_auth import TokenAuth
from gateway.core.clock import Clock
from gateway.core.identity import Principal

MAX_TOKEN_CHARS = 8192

_OPTIONS: jwt.types.Options = {
    "require": ["exp", "aud", "iss"],
    "enforce_minimum_key_length": True,
    # `claims` checks the times: PyJWT accepts "1e9" as a number, and uses its own clock.
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    # Some issuers have numbers in these; `claims` checks everything that is used.
    "verify_sub": False,
    "verify_jti": False,
}
_NO_TOKEN = Refusal("The token is not a JSON web token.", is_vague=True)
_OTHER_ISSUER = Refusal("The token is not from an issuer that this gateway accepts.", is_vague=True)
# Vague, because an issuer that is changing its signature algorithm has two entries.
_OTHER_ALGORITHM = Refusal(
    "The token is signed with an algorithm that is not accepted here.", is_vague=True
)
_SENTENCES: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.MissingRequiredClaimError, "The token lacks `exp`, `aud` or `iss`."),
    (jwt.InvalidAudienceError, "The token is meant for another audience."),
    (jwt.InvalidSignatureError, "The token's signature is invalid."),
)


class KeySource(Protocol):
    """Where the keys of one issuer come from."""

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key for a token; None if there is none; AuthUnavailableError if unknown."""


class Verifier:
    """Verifies the tokens of one issuer, and remembers those that passed."""

    def __init__(self, spec: TokenAuth, keys: KeySource, clock: Clock) -> None:
        self._spec = spec
        self._keys = keys
        self._clock = clock
        self.verified = VerifiedTokens(clock)

    async def verify(self, token: str, digest: bytes | None = None) -> Principal | Refusal:
        """Who the token is about; cached under `digest`, or the token's own digest."""
        try:
            header = self._read_header(token)
            key = await self._keys.find(header.kid, header.alg)
            if key is None:
                return Refusal("The token is signed with a key that its issuer does not publish.")
            claims = self._check_signature(token, key, header.alg)
            until = check_times(claims, self._clock(), self._spec.leeway_s)
            principal = principal_of(
                claims, self._spec.claims, kind=self._spec.kind, prefix=self._spec.prefix
            )
        except _RefusedError as error:
            return error.refusal
        except ClaimError as error:
            return Refusal(str(error))
        self.verified.keep(digest or digest_of(token), principal, until)
        return principal

    def _read_header(self, token: str) -> "_Header":
        """The parts of the token's header that we use."""
        if len(token) > MAX_TOKEN_CHARS:
            raise _RefusedError(Refusal("The token is too long."))
        try:
            head, body, _ = token.encode("ascii").split(b".")
            header = msgspec.json.decode(_decode_part(head), type=_Header)
            issued = msgspec.json.decode(_decode_part(body), type=_Issued)
        except (ValueError, RecursionError):  # msgspec, base64 and ASCII raise ValueErrors
            raise _RefusedError(_NO_TOKEN) from None
        # Not verified yet: this only tells which entry the token is for.
        if issued.iss != self._spec.issuer:
            raise _RefusedError(_OTHER_ISSUER)
        if header.alg not in self._spec.algorithms:
            raise _RefusedError(_OTHER_ALGORITHM)
        if header.crit is not msgspec.UNSET:
            raise _RefusedError(
                Refusal("The token requires an extension that is not supported here.")
            )
        return header

    def _check_signature(self, token: str, key: Key, algorithm: str) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._spec.audience,
                issuer=self._spec.issuer,
                options=_OPTIONS,
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            # Use our own messages, because PyJWT's sometimes quote the token.
            sentence = next(
                (words for kind, words in _SENTENCES if isinstance(error, kind)),
                "The token cannot be used with this gateway.",
            )
            raise _RefusedError(Refusal(sentence, detail=type(error).__name__)) from None


class _RefusedError(Exception):
    """A step that refuses the token."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.sentence)
        self.refusal = refusal


class _Header(msgspec.Struct):
    alg: str
    kid: str | None = None
    crit: Any = msgspec.UNSET


class _Issued(msgspec.Struct):
    iss: str = ""


def _decode_part(part: bytes) -> bytes:
    try:
        return base64.b64decode(part + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError("not base64url") from None
