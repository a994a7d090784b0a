"""Every size limit of what this package records, holds or sends, in one place.

``CHARS`` counts Python characters, ``BYTES`` bytes of the encoded record, ``SECONDS`` and names of times seconds.
"""

from typing import Final

MAX_KEY_CHARS: Final = 200
"""Longest flow key or step key; a longer one is refused, because a truncated key would name another step."""

MAX_RUN_ID_CHARS: Final = 200
"""Longest run id; a longer one keeps its beginning and ends in a hash of the whole."""

MAX_METADATA_KEYS: Final = 64
"""Metadata keys of one record: half of the 128 attributes that OpenTelemetry keeps on a span before it evicts the
oldest, which identify the step. The other half is the host's.
"""

MAX_METADATA_KEY_CHARS: Final = 128
MAX_METADATA_TEXT_CHARS: Final = 4_096
"""Longest text; with the error texts, all of a record's usual values fit into :data:`MAX_RECORD_BYTES`."""

MAX_METADATA_ITEMS: Final = 256
"""Items of one list or mapping inside metadata."""

MAX_METADATA_DEPTH: Final = 6
"""Levels of nested lists and mappings; deeper ones are replaced by a note."""

MAX_METADATA_BYTES: Final = 32_768
"""One metadata mapping as JSON: half of a record. The value that exceeds it is the last one."""

MAX_ERROR_NAME_CHARS: Final = 256
MAX_ERROR_MESSAGE_CHARS: Final = 4_096
MAX_STACK_CHARS: Final = 16_384
"""Longest name, message and stack of an error: a quarter of a record for the stack."""

MAX_RECORD_BYTES: Final = 65_536
"""A larger record is reduced to its identity and status."""

MAX_COMPACT_GROWTH_BYTES: Final = 400
"""By how much the JSON of a record is longer than its compact form, at most."""

MAX_SPAN_PARTS: Final = 10_000
"""Attributes, events and items of lists and mappings in one span that came by OTLP; OpenTelemetry's SDKs keep 128
attributes and 128 events by default. A step with more is rejected, because the rest could change its identity or
outcome; a resource with more describes no process.
"""

MAX_REQUEST_PARTS: Final = 1_000_000
"""The same for all spans and resources of one request, and for the fields around them that are skipped. The largest
request has room for half as many usual attributes; steps beyond are rejected.
"""

MAX_BATCH_RECORDS: Final = 512
MAX_BATCH_BYTES: Final = 1_048_576
"""Largest batch: as many records as OpenTelemetry's processor sends at once, in a body of nginx's default limit."""

MAX_QUEUE_RECORDS: Final = 10_000
"""Default of ``max_queue_size``, for the queue in memory."""

MAX_QUEUE_SIZE: Final = 1_000_000
"""Largest ``max_queue_size``; the bound in bytes does not change with it."""

MAX_QUEUE_BYTES: Final = 16 * 1_048_576
"""All records of the queue in memory together."""

MAX_REASON_CHARS: Final = 200
"""Longest reason that is kept of a server's rejection of a record: a line of a log."""

MAX_RESPONSE_BYTES: Final = 65_536
"""How much of a server's response is read."""

SCHEDULE_DELAY: Final = 0.05
"""Longest time that a record waits for others in its batch: short enough for a live view."""

POLLING_SECONDS: Final = 0.25
"""Time without a record after which the delivery thread stops polling every schedule delay, and sleeps."""

SEND_TIMEOUT: Final = 1.5
"""Time for one request (Failpath's documentation, ``sendTimeoutMs``)."""

BATCH_GROWTH_DELAY: Final = 0.25
"""Time after a 413 until batches of the refused size are tried again; doubles with each failure."""

BATCH_GROWTH_MAX_DELAY: Final = 60.0
"""Longest such delay."""

BATCHES_UNTIL_GROWTH: Final = 64
"""Batches after which the larger size is tried even sooner."""

MIN_TOO_LARGE_BYTES: Final = 4_096
"""A smaller record is too large for no endpoint: a 413 to it is an ordinary failure."""

SINGLES_IN_DOUBT: Final = 4
"""Single records that have to be refused for their contents before the endpoint itself is suspected."""

MAX_PROBES: Final = 64
"""Requests in search of the refused records of one batch before a pause."""

MAX_BATCHES_IN_DOUBT: Final = 4
"""Batches that are searched for a record that the endpoint accepts."""

MAX_AGE_SECONDS: Final = 172_800.0
"""Time after which undelivered records are dropped: 48 hours, which spans a weekend's outage."""

RETRY_FIRST_DELAY: Final = 0.5
"""Delay of the first retry; doubles with each attempt."""

RETRY_MAX_DELAY: Final = 30.0
"""Longest delay between two attempts."""

RETRY_MAX_DELAY_MISCONFIGURED: Final = 300.0
"""The same if a setting is wrong, which early retries do not help."""

RETRY_JITTER: Final = 0.25
"""Random share of a delay, so that many processes do not retry at the same moment."""

OUTAGE_LOG_DELAY: Final = 10.0
"""Time that an outage lasts before it is printed on stderr, if the application has not configured logging."""

MAX_RETRY_AFTER: Final = 3_600.0
"""Longest ``Retry-After`` that is obeyed: an hour."""

IDLE_SECONDS: Final = 30.0
"""Time without a record after which the delivery thread ends and closes its connections."""

ABANDON_SECONDS: Final = 5.0
"""Time after the last provider is gone, or after a shutdown, from which a failing endpoint is not retried, and records
in the journal are left to another process.
"""

FLUSH_TIMEOUT: Final = 5.0
"""Default timeout of ``flush()`` and ``shutdown()``."""

EXIT_TIMEOUT: Final = 2.0
"""Longest time by which delivery delays the end of the interpreter."""

EXIT_RESERVE: Final = 0.2
"""Part of :data:`EXIT_TIMEOUT` that is reserved for calls of ``on_error``."""

RUN_END_TIMEOUT: Final = 0.25
"""Longest wait for delivery at the end of a run in a process that will end by ``os._exit``."""

RUN_END_SHARE: Final = 0.02
"""Share of such a process's life that the ends of runs may wait, beyond one :data:`RUN_END_TIMEOUT`."""

EXIT_POLL: Final = 0.01
"""Polling interval, at the end of the interpreter, of deliveries for other processes."""

MAX_PATH_CHARS: Final = 4_096
"""Longest path of a journal directory (Linux, PATH_MAX)."""

MAX_SECONDS: Final = 86_400.0
"""Longest time that an option or argument may name: a day."""

JOURNAL_SEGMENT_BYTES: Final = 1_048_576
"""Size of one journal file: preallocated as a whole, and read into memory as a whole if it is damaged."""

JOURNAL_SEGMENTS: Final = 64
"""Journal files of one process, 64 MiB together; beyond, the oldest records are dropped."""

MAX_LOCKED_ORPHANS: Final = 16
"""Orphans that one process locks at a time: each takes three descriptors."""

MAX_JOURNALS: Final = 1_000
"""Orphans that a journal directory may hold while they cannot be delivered; the oldest are deleted."""

MAX_JOURNALS_BYTES: Final = 1_073_741_824
"""All journals of a directory together; beyond, the oldest orphans are deleted."""

MAX_JOURNALS_SHARE: Final = 0.05
"""The same as a share of the file system, if that is less; two full journals always have room, up to half of it."""

DISK_CHECK_SECONDS: Final = 60.0
"""Time that orphans could not be delivered before the limits on them are enforced; also the interval of the checks."""

ORPHAN_SCAN_SECONDS: Final = 3.0
"""Interval at which a process scans for orphans."""

FORK_SECONDS: Final = 10.0
"""Time after a fork during which the parent scans more often: children may be killed."""

FORK_SCAN_SECONDS: Final = 1.0
"""Interval of these scans."""

JOURNAL_RETRY_FIRST_SECONDS: Final = 1.0
"""Delay before a journal that failed is tried again; doubles with each failure."""

JOURNAL_RETRY_SECONDS: Final = 30.0
"""Longest such delay."""

JOURNAL_SLICE_RECORDS: Final = 64
"""Records that are moved from memory into the journal before other threads get the lock."""

END_OF_TIME: Final = 253_402_300_800
"""Seconds since the epoch that no time reaches: RFC 3339 ends with the year 9999."""

MAX_PATTERN_CHARS: Final = 300
"""Longest pattern of a rule, and longest name of the attribute that holds a run id."""

MAX_CONDITIONS: Final = 20
"""Attributes that a rule can ask for, and values that it can accept of one."""

MAX_KEYS: Final = 200
"""Different keys that a rule with templates makes by default."""

MOST_KEYS: Final = 10_000
"""The most keys that a rule can be allowed."""

MAX_KEPT_KEYS: Final = 50_000
"""Keys of all rules and services that a server with rules remembers; more than one rule can be allowed."""

MAX_RULES: Final = 500
"""Rules of one option: comparing them with each other takes quadratic time."""

MAX_RULES_BYTES: Final = 1_048_576
"""Largest file of rules."""

MAX_CACHED_NAMES: Final = 4_096
"""Spans, by scope and name, whose matching rule is cached."""

MAX_NAME_CHARS: Final = 512
"""How much of a span's name and scope a rule matches."""

MAX_UNMATCHED_CHARS: Final = 1_000
"""How much the log shows of spans that no rule matches."""

LATE_RUN_ID_POLL: Final = 0.05
"""Interval at which a rule's step is checked for the attribute that holds its run id."""

LATE_RUN_ID: Final = 1.0
"""Time that such a step waits for the attribute before it is reported without."""

MAX_AWAITING_RULE: Final = 1_000
"""Spans that wait, at a time, for an attribute that decides which rule applies."""

UNMATCHED_LOG_DELAY: Final = 30.0
"""Time during which spans come and no rule matches before the log says so."""
