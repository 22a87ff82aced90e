"""Building the methods for tokens that others issue.

The rule here: this file and its imports are loaded only if such a method is configured.
"""

from collections.abc import Sequence

from gateway.auth.fetching import Fetcher, Publication
from gateway.auth.jwt import BearerTokens
from gateway.auth.key_set import KeySet, SharedSecret
from gateway.auth.method import Method
from gateway.auth.supabase_cookie import SupabaseCookie
from gateway.auth.verifier import KeySource, Verifier
from gateway.config.token_auth import SupabaseCookieAuth, TokenAuth
from gateway.core.clock import system_clock
from gateway.core.tasks import Tasks
from gateway.upstream.resolver import Resolver


def make_token_method(
    spec: TokenAuth, origins: Sequence[str], tasks: Tasks, resolver: Resolver
) -> Method:
    """The method for one entry; keys are fetched when the first token needs one."""
    verifier = Verifier(spec, _keys_of(spec, tasks, resolver), system_clock)
    if isinstance(spec, SupabaseCookieAuth):
        return SupabaseCookie(spec.cookie, verifier, origins)
    return BearerTokens(verifier)


def _keys_of(spec: TokenAuth, tasks: Tasks, resolver: Resolver) -> KeySource:
    if spec.secret is not None:
        return SharedSecret(spec.secret)
    fetcher = Fetcher(resolver, allow_private=spec.allow_private, ca_file=spec.ca_file)
    publication = Publication(fetcher, spec.issuer, spec.jwks_url)
    return KeySet(spec.issuer, publication.fetch_keys, tasks)
