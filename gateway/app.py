"""Composition root: the middleware chain, the routes, and everything that lives as long as the app.

The rule here: this file may import every part of the gateway, and no part imports this file.
Nothing is opened before startup; what was opened is closed in reverse order.
"""

from collections.abc import AsyncIterator
from functools import partial

from aiohttp import web
from aiohttp.typedefs import Middleware

from gateway.auth.local import is_loopback
from gateway.auth.opening import open_methods
from gateway.auth.stored_keys import ANSWER_S, STORED_KEYS, StoredKeys
from gateway.catalog.handlers import (
    show_keys,
    show_model,
    show_models,
    show_provider_models,
    show_providers,
)
from gateway.config.load import Registry, known_secrets
from gateway.config.settings import Settings
from gateway.core.afterwards import Afterwards, each
from gateway.core.clock import monotonic, system_clock
from gateway.core.exchange import Observer
from gateway.core.tasks import Tasks
from gateway.core.throttle import Throttle
from gateway.credentials.finder import CREDENTIALS
from gateway.credentials.opening import PROFILE_KEYS, OpenSources
from gateway.credentials.pools import POOLS, Pools
from gateway.ledger.ledger import Ledger
from gateway.ledger.opening import keep_ledger
from gateway.ledger.writer import Writer
from gateway.limits.limiter import Limiter
from gateway.limits.opening import keep_holds, recalling
from gateway.middleware.allow_origins import allow_origins
from gateway.middleware.assign_request_id import (
    IN_FLIGHT,
    OBSERVERS,
    PROXIES,
    add_response_headers,
    assign_request_id,
)
from gateway.middleware.authenticate import authenticate
from gateway.middleware.begin_trace import TRACER, begin_trace
from gateway.middleware.check_key import check_key
from gateway.middleware.check_path import check_path
from gateway.middleware.check_provider import check_provider
from gateway.middleware.check_rights import check_rights
from gateway.middleware.enforce_limits import LIMITER, enforce_limits
from gateway.middleware.guard_stream import guard_stream, note_prepared
from gateway.middleware.read_request import (
    HELD_BODIES,
    hold_bodies,
    postpone_continue,
    read_request,
)
from gateway.middleware.render_errors import render_errors
from gateway.middleware.shed_load import PRESSURE, shed_load
from gateway.middleware.write_access_log import write_access_log
from gateway.overload.machine import Machine
from gateway.overload.pressure import Pressure
from gateway.overload.seats import Seats
from gateway.plugins.copies import note_prepared_copy
from gateway.plugins.keys import (
    CHAT,
    COMPLETIONS,
    ONLY_WORKER,
    REGISTRY,
    SETTINGS,
    WORKER,
    Worker,
)
from gateway.plugins.loading import place
from gateway.profile.handlers import (
    PER_MINUTE,
    THROTTLE,
    delete_profile_key,
    list_profile_keys,
    set_profile_key,
    show_profile_key,
)
from gateway.relay.relay import Relay
from gateway.simulator import Simulator
from gateway.stores.counters import CounterStore
from gateway.stores.opening import OpenKeys, open_keys
from gateway.stores.opening_counters import make_counters
from gateway.telemetry.content_log import ContentLog
from gateway.telemetry.crashes import report_crash
from gateway.telemetry.in_flight import InFlight
from gateway.telemetry.logging import log_exchange
from gateway.telemetry.metrics import Metrics, Watched
from gateway.telemetry.tracing.opening import Tracing, open_tracing
from gateway.upstream.upstreams import UPSTREAMS, Upstreams
from gateway.wire.forwarded import TrustedProxies

CHAIN: tuple[Middleware, ...] = (  # outermost first
    guard_stream,  # never sends a second response once a stream has begun
    assign_request_id,  # so that every log line below can carry it
    write_access_log,  # sees the status that was really sent
    render_errors,  # every middleware below may simply raise
    check_path,  # refuses paths that two servers could read differently
    allow_origins,  # which web pages may call
    authenticate,  # who is calling: sets the principal
    shed_load,  # is there room for another request? Asked before the body is read
    read_request,  # which provider is called, and for what: sets the call
    check_rights,  # may this key use that provider and model
    check_provider,  # refuses a provider that is failing nearly every time
    check_key,  # which credential the provider gets: sets the credential
    enforce_limits,  # may they call now
)

# How many requests to the built-in provider are kept for inspection, bodies included.
SIMULATOR_JOURNAL_LIMIT = 50

CONTENT_LOG: web.AppKey[ContentLog] = web.AppKey("content_log", ContentLog)
AFTERWARDS: web.AppKey[Afterwards] = web.AppKey("afterwards", Afterwards)
COUNTERS: web.AppKey[CounterStore] = web.AppKey("counters", CounterStore)
KEYS: web.AppKey[OpenKeys] = web.AppKey("keys", OpenKeys)
LEDGER: web.AppKey[Ledger] = web.AppKey("ledger", Ledger)
LIMIT_TASKS: web.AppKey[Tasks] = web.AppKey("limit_tasks", Tasks)
METRICS: web.AppKey[Metrics] = web.AppKey("metrics", Metrics)
RELAY: web.AppKey[Relay] = web.AppKey("relay", Relay)
SIMULATOR: web.AppKey[Simulator] = web.AppKey("simulator", Simulator)
TRACING: web.AppKey[Tracing] = web.AppKey("tracing", Tracing)
WRITER: web.AppKey[Writer] = web.AppKey("writer", Writer)


def build_app(
    settings: Settings,
    registry: Registry,
    log: Observer = log_exchange,
    counters: CounterStore | None = None,
    worker: Worker = ONLY_WORKER,
) -> web.Application:
    """Wire one gateway; nothing is opened before startup."""
    app = web.Application(middlewares=place(choose_chain(settings), settings.middleware))
    app[SETTINGS] = settings
    app[REGISTRY] = registry
    app[WORKER] = worker
    in_flight = InFlight()
    metrics = Metrics(registry.providers, lambda: in_flight.count)
    app[IN_FLIGHT] = in_flight
    app[METRICS] = metrics
    app[POOLS] = pools = Pools(registry.credentials)
    metrics.list_credentials = pools.standings
    app[PRESSURE] = pressure = make_pressure(settings)
    show_pressure(metrics, pressure)
    add_observers(app, log)
    app[PROXIES] = find_proxies(settings)
    app[LIMITER] = None
    if settings.keeps_ledger:
        add_ledger(app)
    if settings.rules:
        if counters is None:
            counters = make_counters(settings, is_restarted=worker.is_restarted)
        add_limits(app, counters)
    add_tracing(app)
    app[HELD_BODIES] = hold_bodies(settings.server)
    hear_of_heads(app)
    app.cleanup_ctx.extend(
        [
            keep_exporting,  # first, so that it closes last: every exchange is settled by then
            watch_pressure,
            open_stored_keys,
            open_methods,
            open_credentials,
            open_ledger,
            tell_the_rest,
            recall_budgets,
            open_simulator,
            open_relay,
            watch_loop,  # last, or the slow imports and opens of startup would count as lag
        ]
    )
    app.on_shutdown.append(stop_relay)
    add_routes(app)
    return app


def hear_of_heads(app: web.Application) -> None:
    """Note each response as it begins, and add the headers that it still needs."""
    if app[SETTINGS].middleware:  # only custom middleware can hand us a copy of the request
        app.on_response_prepare.append(note_prepared_copy)
    app.on_response_prepare.extend([note_prepared, add_response_headers])


def find_proxies(settings: Settings) -> TrustedProxies | None:
    """The proxies whose word about a caller's address is trusted; None if there are none."""
    trusted = settings.server.trusted_proxies
    return TrustedProxies(trusted) if trusted else None


def add_observers(app: web.Application, log: Observer) -> None:
    """Register who is told when an exchange ends; those that free a resource come first."""
    app[AFTERWARDS] = afterwards = Afterwards()
    # Without the admin listener nobody can read the metrics, so they are not counted.
    counting = (app[METRICS].observe,) if app[SETTINGS].admin.enabled else ()
    observers = (app[PRESSURE].seats.settle, app[POOLS].settle, log, *counting)
    afterwards.observers = tuple(map(each, (*observers, app[IN_FLIGHT].count_out)))
    app[OBSERVERS] = (afterwards.take,)


def add_limits(app: web.Application, counters: CounterStore) -> None:
    """Enforce the rules under `limits`, and tell the limiter how every exchange ends."""
    app[COUNTERS] = counters
    app[LIMIT_TASKS] = Tasks(report_crash)
    app[LIMITER] = limiter = Limiter(app[SETTINGS].rules, counters, tasks=app[LIMIT_TASKS])
    metrics = app[METRICS]
    metrics.count_places = limiter.count_places
    if isinstance(counters, Watched):
        metrics.watch("counters", counters)
    app[AFTERWARDS].observers = (each(limiter.settle), *app[AFTERWARDS].observers)
    app.cleanup_ctx.append(keep_limits)


def add_content_log(app: web.Application, content: ContentLog) -> None:
    """Log prompts and answers, whether that is switched on now or by a later reload."""
    app[CONTENT_LOG] = content
    app[AFTERWARDS].observers = (each(content.observe), *app[AFTERWARDS].observers)


def add_ledger(app: web.Application) -> None:
    """Book every exchange that is sent upstream."""
    app[LEDGER] = ledger = Ledger(app[SETTINGS].ledger)
    app[METRICS].count_ledger = lambda: ledger.counts
    app[AFTERWARDS].observers = (ledger.settle_all, *app[AFTERWARDS].observers)


def choose_chain(settings: Settings) -> tuple[Middleware, ...]:
    """The chain; with tracing on, `begin_trace` comes right after `assign_request_id`."""
    if settings.tracing is None:
        return CHAIN
    place_of_it = CHAIN.index(assign_request_id) + 1
    return (*CHAIN[:place_of_it], begin_trace, *CHAIN[place_of_it:])


def add_tracing(app: web.Application) -> None:
    """Send every exchange to the collector if tracing is on; TracingError if it cannot start."""
    spec, registry = app[SETTINGS].tracing, app[REGISTRY]
    if spec is None:
        return
    secrets = known_secrets(app[SETTINGS], registry)
    app[TRACING] = tracing = open_tracing(spec, providers=registry.providers, secrets=secrets)
    app[TRACER] = tracing.tracer
    app[METRICS].count_spans = tracing.exporter.count_spans
    app[AFTERWARDS].observers = (*app[AFTERWARDS].observers, each(tracing.observe))


async def keep_exporting(app: web.Application) -> AsyncIterator[None]:
    """Send spans for as long as the gateway runs, if tracing is on."""
    if TRACING not in app:
        yield
        return
    async with app[TRACING].exporting(report_crash):
        yield


def add_routes(app: web.Application) -> None:
    """Add every route of the public listener."""
    router = app.router
    for path, name in (("/api/chat/{provider}", CHAT), ("/v1/chat/completions", COMPLETIONS)):
        resource = router.add_resource(path, name=name)
        # "100 Continue" invites the body, so it must wait until we know who is calling.
        resource.add_route("POST", relay_exchange, expect_handler=postpone_continue)
    # `add_get` adds HEAD too, which gets the same answer without its body (RFC 9110, 9.3.2).
    router.add_get("/api/keys", show_keys)
    router.add_get("/api/providers", show_providers)
    router.add_get("/api/providers/{provider}/models", show_provider_models)
    router.add_get("/api/profile/keys", list_profile_keys)
    profile_key = router.add_resource("/api/profile/keys/{provider}")
    profile_key.add_route("GET", show_profile_key)
    profile_key.add_route("HEAD", show_profile_key)
    profile_key.add_route("PUT", set_profile_key)
    profile_key.add_route("DELETE", delete_profile_key)
    router.add_get("/v1/models", show_models)
    router.add_get("/v1/models/{model:.+}", show_model)


async def relay_exchange(request: web.Request) -> web.StreamResponse:
    """Pass a request to the relay once the chain has let it through."""
    return await request.app[RELAY].handle(request)


def make_pressure(settings: Settings) -> Pressure:
    """The object that watches the load of this process."""
    spec = settings.overload
    return Pressure(spec, Seats(spec.max_in_flight), Machine(settings.server.workers).read)


def show_pressure(metrics: Metrics, pressure: Pressure) -> None:
    """Show in the metrics how many requests are admitted, and how many were refused."""
    metrics.read_limit = lambda: int(pressure.seats.limit)
    metrics.count_shed = lambda: pressure.refused


async def watch_pressure(app: web.Application) -> AsyncIterator[None]:
    """Watch the load of this process from before the first request until after the last."""
    app[PRESSURE].start()
    yield
    app[PRESSURE].stop()


async def watch_loop(app: web.Application) -> AsyncIterator[None]:
    """Measure the lag of the event loop for as long as the app runs."""
    watch = app[METRICS].loop
    watch.start()
    yield
    watch.stop()


async def open_stored_keys(app: web.Application) -> AsyncIterator[None]:
    """Open the database if callers are authenticated by the keys in it."""
    settings = app[SETTINGS]
    if not settings.wants_stored_keys:
        yield
        return
    app[KEYS] = opened = await open_keys(settings.stores, timeout_s=ANSWER_S)
    tasks = Tasks(report_crash)
    app[STORED_KEYS] = StoredKeys(opened, tasks)
    yield
    await tasks.cancel()
    await opened.store.close()


async def open_credentials(app: web.Application) -> AsyncIterator[None]:
    """Open the stores of credentials that callers bring themselves."""
    tasks = Tasks(report_crash)
    sources = OpenSources(app[SETTINGS], app[REGISTRY], app[POOLS], tasks)
    await sources.open()
    app[CREDENTIALS] = sources.finder
    if sources.profile_keys is not None:
        app[PROFILE_KEYS] = sources.profile_keys
        app[THROTTLE] = Throttle(monotonic, PER_MINUTE)
    if sources.marks is not None:
        app[AFTERWARDS].observers = (*app[AFTERWARDS].observers, each(sources.marks.observe))
    yield
    await tasks.cancel()
    await sources.close()


async def tell_the_rest(app: web.Application) -> AsyncIterator[None]:
    """Tell the observers about the last exchanges before the ledger closes."""
    yield
    app[AFTERWARDS].tell()


async def open_ledger(app: web.Application) -> AsyncIterator[None]:
    """Keep the ledger, if there is one, open until the relay is closed."""
    settings = app[SETTINGS]
    if LEDGER not in app:
        yield
        return
    async with keep_ledger(app[LEDGER], settings.ledger, settings.stores, report_crash) as writer:
        app[WRITER] = writer
        yield


async def recall_budgets(app: web.Application) -> AsyncIterator[None]:
    """Restore the daily and monthly counters from the ledger."""
    async with recalling(app[SETTINGS].rules, app.get(COUNTERS), app.get(WRITER), report_crash):
        yield


async def open_simulator(app: web.Application) -> AsyncIterator[None]:
    """Start the built-in provider if the registry has it."""
    if not any(provider.is_simulated for provider in app[REGISTRY].providers.values()):
        yield
        return
    # Whoever may script it can ask for gigabytes, so only callers on this machine may.
    is_scriptable = is_loopback(app[SETTINGS].server.bound_to)
    app[SIMULATOR] = Simulator(scriptable=is_scriptable, journal_limit=SIMULATOR_JOURNAL_LIMIT)
    await app[SIMULATOR].start()
    yield
    await app[SIMULATOR].stop()


async def keep_limits(app: web.Application) -> AsyncIterator[None]:
    """Keep the counters, and the holds of requests in flight, while the gateway runs."""
    limiter = app[LIMITER]
    if limiter is None:
        yield
        return
    async with keep_holds(limiter, app[COUNTERS], app[LIMIT_TASKS]):
        yield


async def open_relay(app: web.Application) -> AsyncIterator[None]:
    """Open what carries exchanges: the upstreams, the background tasks and the relay."""
    simulator = app.get(SIMULATOR)
    app[UPSTREAMS] = upstreams = Upstreams(
        app[REGISTRY].providers,
        simulator_url=None if simulator is None else simulator.base_url,
        has_lagged=app[PRESSURE].has_lagged,
    )
    app[PRESSURE].when_short_of_files.append(upstreams.close_idle)
    tasks = Tasks(report_crash)
    app[RELAY] = Relay(upstreams, app[POOLS], app[SETTINGS], tasks, system_clock, app.get(LEDGER))
    metrics = app[METRICS]
    metrics.list_pools = upstreams.standings
    metrics.list_breakers = upstreams.list_breakers
    time_chunk = partial(app[RELAY].time_next_chunk, metrics.note_added_gap)
    metrics.loop.at_each_beat.append(time_chunk)
    app[RELAY].content = app.get(CONTENT_LOG)
    yield
    metrics.loop.at_each_beat.remove(time_chunk)
    await tasks.cancel()
    upstreams.close()


async def stop_relay(app: web.Application) -> None:
    """End the answers that are still in progress when the drain time is over."""
    app[RELAY].stop()
