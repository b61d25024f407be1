"""Metrics of Tocsin, each declared once; the attribute is the name without `tocsin_`.

Label sets are closed: integrations, channels, services and rules of the configuration and fixed
words; never text of an alert, a person or a number.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
HUMAN = (15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's annotation is missing
ROWS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


class Metrics:
    """Prometheus metrics in a registry of their own, so that several daemons can live in one process."""

    def __init__(self) -> None:
        self.registry = r = CollectorRegistry()
        ProcessCollector(registry=r)
        PlatformCollector(registry=r)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"tocsin_{name}", text, labels, registry=r)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"tocsin_{name}", text, labels, registry=r)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"tocsin_{name}", text, labels, registry=r, buckets=buckets)

        self.build_info = gauge("build_info", "Always 1; says which version runs.", "version", "python", "database")
        self.config_last_reload_successful = gauge("config_last_reload_successful", "1 when the last reload was taken.")
        self.config_last_reload_success_timestamp_seconds = gauge(
            "config_last_reload_success_timestamp_seconds", "When the configuration in force was read."
        )
        self.config_running_on_last_good = gauge(
            "config_running_on_last_good", "1 while the file is bad and the last good configuration is used."
        )
        self.alerts_received = counter("alerts_received", "Alerts in accepted posts.", "integration", "status")
        self.alerts_rejected = counter("alerts_rejected", "Alerts and posts refused.", "integration", "reason")
        self.alerts_outcome = counter("alerts_outcome", "What became of the alerts taken.", "outcome")
        self.ingest_seconds = histogram("ingest_seconds", "Post read to answer ready.", FAST)
        self.incidents = gauge("incidents", "Open incidents.", "status", "priority")
        # a counter by meaning; a gauge by type, since a counter family could not stand beside `incidents`
        self.incidents_total = gauge("incidents_total", "Incidents opened.", "service", "priority")
        self.time_to_acknowledge_seconds = histogram(
            "time_to_acknowledge_seconds", "From opening to the first acknowledgement.", HUMAN
        )
        self.time_to_resolve_seconds = histogram("time_to_resolve_seconds", "From opening to resolution.", HUMAN)
        self.ingest_to_first_attempt_seconds = histogram(
            "ingest_to_first_attempt_seconds", "From the alert's receipt to the first provider call.", FAST
        )
        self.step_lateness_seconds = histogram(
            "step_lateness_seconds", "From a step's due time to its run.", FAST + (30, 60, 300)
        )
        self.oldest_due_step_seconds = gauge("oldest_due_step_seconds", "Age of the oldest due step not yet run.")
        self.due_timers = gauge("due_timers", "Timers that are due and have not run.")
        self.pages = counter("pages", "Pages that reached an end.", "channel", "outcome")
        self.attempts = counter("attempts", "Calls to providers.", "channel", "provider", "outcome")
        self.messages = counter("messages", "Calls to providers, by what they carried.", "channel", "kind", "outcome")
        self.attempt_seconds = histogram("attempt_seconds", "Length of calls to providers.", FAST, "channel")
        self.open_intents = gauge("open_intents", "Calls whose outcome is not recorded yet.")
        self.acks = counter("acks", "Acknowledgements.", "via")
        self.acks_refused = counter("acks_refused", "Answers that changed nothing.", "via", "reason")
        self.signature_failures = counter("signature_failures", "Callbacks with a wrong signature.", "door")
        self.pages_throttled = counter("pages_throttled", "Pages that waited for a free slot.", "channel")
        self.storm_collapsed = counter("storm_collapsed", "Incidents that a storm took in.")
        self.rule_errors = counter("rule_errors", "Rules that failed; they did not match.", "rule")
        self.template_fallbacks = counter("template_fallbacks", "Templates that failed; plain text was used.")
        self.people_without_contact = gauge("people_without_contact", "People on call now whom no contact can reach.")
        self.nobody_reached = counter("nobody_reached", "Steps that found nobody; the next one ran at once.")
        self.schedule_gap_seconds_ahead = gauge(
            "schedule_gap_seconds_ahead", "Seconds without anybody on call in the next 30 days.", "schedule"
        )
        self.feed_last_success_timestamp_seconds = gauge(
            "feed_last_success_timestamp_seconds", "When a schedule's calendar feed was last fetched.", "schedule"
        )
        self.feed_working = gauge("feed_working", "0 while a feed is broken; its last good copy is used.", "schedule")
        self.feed_unknown_names = gauge("feed_unknown_names", "Names in a feed that are nobody's here.", "schedule")
        self.feed_doubtful_events = gauge(
            "feed_doubtful_events",
            "What of a feed was left out, kept as an earlier copy has it, or guessed; tocsin check tells each.",
            "schedule",
        )
        self.heartbeats_overdue = gauge("heartbeats_overdue", "Heartbeats that are late.")
        self.channel_healthy = gauge("channel_healthy", "0 while a channel's last calls all failed.", "channel")
        self.db_commit_seconds = histogram("db_commit_seconds", "Length of commits.", FAST)
        self.db_batch_rows = histogram("db_batch_rows", "Rows written per commit.", ROWS)
        self.db_errors = counter("db_errors", "Database errors.", "kind")
        self.clock_steps = counter("clock_steps", "Steps of the wall clock beyond a second.", "direction")
        self.clock_ahead_seconds = gauge("clock_ahead_seconds", "How far the wall clock was set ahead of timers' time.")
        self.database_file_lost = gauge("database_file_lost", "1 while the database file is deleted or replaced.")
        self.event_loop_lag_seconds = histogram("event_loop_lag_seconds", "How late the event loop is.", FAST)
        self.duty_last_success_timestamp_seconds = gauge(
            "duty_last_success_timestamp_seconds", "When a background duty last succeeded.", "duty"
        )
        self.duty_late = gauge("duty_late", "1 while a background duty is later than promised.", "duty")
        self.deadman_last_success_timestamp_seconds = gauge(
            "deadman_last_success_timestamp_seconds", "When the outbound heartbeat last went out."
        )
